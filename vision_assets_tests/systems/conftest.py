"""Real servers of each storage, on this machine, and pipelines whose data and images lie on them."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.spark.session import start_session
from vision_assets.storage.files import HadoopFiles
from vision_assets.storage.snapshots import SnapshotStore
from vision_assets_tests.pipeline import AnyPipeline
from vision_assets_tests.servers.alluxio import alluxio
from vision_assets_tests.servers.hdfs import hdfs
from vision_assets_tests.servers.openstack_swift import swift
from vision_assets_tests.servers.s3proxy import s3proxy


@dataclass(frozen=True)
class System:
    """A storage that runs.

    Attributes
    ----------
    uri : str
        Of an empty place on it.
    properties : dict
        What Hadoop's client has to know.
    stop, start : callable
        Kill the server; start it again on the same port and data.
    """

    uri: str
    properties: dict[str, str]
    stop: Callable[[], None]
    start: Callable[[], None]


@contextmanager
def _hdfs(folder: Path) -> Iterator[System]:
    with hdfs(folder) as server:
        yield System(server.uri, {}, server.stop, server.start)


@contextmanager
def _alluxio(folder: Path) -> Iterator[System]:
    with alluxio(folder) as server:
        yield System(server.uri, {}, server.stop, server.start)


@contextmanager
def _swift(folder: Path) -> Iterator[System]:
    with swift(folder) as server:
        server.create_bucket("on-swift")
        yield System("s3a://on-swift", server.properties("on-swift"), server.stop, server.start)


@contextmanager
def _s3proxy(folder: Path) -> Iterator[System]:
    with s3proxy(folder) as server:
        server.create_bucket("on-s3proxy")
        yield System("s3a://on-s3proxy", server.properties("on-s3proxy"), server.stop, server.start)


SYSTEMS: dict[str, Callable[[Path], AbstractContextManager[System]]] = {
    "hdfs": _hdfs,
    "swift": _swift,
    "s3proxy": _s3proxy,
    "alluxio": _alluxio,
}


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A session that knows all storages; others run in a session of their own."""
    os.environ[settings.CONNECTORS] = "s3a,alluxio"
    session = start_session()
    yield session
    session.stop()


@pytest.fixture(scope="session", params=list(SYSTEMS))
def system(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    with SYSTEMS[request.param](tmp_path_factory.mktemp(request.param)) as found:
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        for name, value in found.properties.items():
            hadoop.set(name, value)
        yield found


@dataclass(frozen=True)
class Elsewhere(AnyPipeline):
    """All assets on a data folder that Hadoop's client reaches."""

    uri: str
    spark: SparkSession

    @property
    def files(self) -> HadoopFiles:
        return HadoopFiles(self.uri, lambda: self.spark)

    @property
    def store(self) -> SnapshotStore:  # type: ignore[override]
        return SnapshotStore(self.files)

    def table(self, asset: str) -> pd.DataFrame:
        table = self.spark.read.parquet(self.current(asset).uri).toPandas()
        return table.sort_values(table.columns[0]).reset_index(drop=True)


@pytest.fixture
def pipeline(system: System, spark: SparkSession, request: pytest.FixtureRequest) -> Elsewhere:
    """All assets on an empty data folder of a storage."""
    return Elsewhere(f"{system.uri}/{request.node.originalname}", spark)


@pytest.fixture(scope="session")
def source(system: System, spark: SparkSession, image_folder: Path) -> str:
    """The URI of `image_folder`, copied to a storage."""
    uri = f"{system.uri}/images"
    files = HadoopFiles(uri, lambda: spark)
    for file in sorted(image_folder.rglob("*.jpg")):
        files.create(str(file.relative_to(image_folder)), file.read_bytes())
    return uri
