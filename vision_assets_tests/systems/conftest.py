"""Real servers of each storage, on this machine, and pipelines whose data and images are on them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.spark.jvm import hadoop_of
from vision_assets.spark.session import start_session
from vision_assets.steps import image_index
from vision_assets_tests.pipeline import ALL_ASSETS, AnyRunner, Runner
from vision_assets_tests.servers.alluxio import Alluxio
from vision_assets_tests.servers.s3 import S3
from vision_assets_tests.servers.spark_cluster import SparkCluster, spark_cluster
from vision_assets_tests.servers.storages import STORAGES


class Outage(NamedTuple):
    """How to kill a server, and start it again at the same address with the same data."""

    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass(frozen=True)
class System:
    """A storage that runs.

    Attributes
    ----------
    uri : str
        An empty place on it.
    properties : dict
        What Hadoop's client has to know.
    outages : list of Outage
        First the outage of what clients speak with, then of what has the data.
    """

    uri: str
    properties: dict[str, str]
    outages: list[Outage]


@contextmanager
def started(name: str, folder: Path) -> Iterator[System]:
    """Run one of `STORAGES` in a folder until the block is left."""
    with STORAGES[name](folder) as server:
        outages = [Outage(server.stop, server.start)]
        if isinstance(server, S3):
            behind = server.behind
            # A name for each: Hadoop's client keeps a bucket's first server as long as a JVM runs.
            bucket = f"on-{name}"
            server.create_bucket(bucket)
            uri, properties = f"s3a://{bucket}", server.properties(bucket)
        else:
            behind = server.worker if isinstance(server, Alluxio) else server.data_nodes[0]
            uri, properties = server.uri, {}
        if behind:
            outages.append(Outage(behind.kill, behind.start))
        yield System(uri, properties, outages)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("cluster"), cores=2) as found:
        yield found


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A session that knows all storages; others run in a session of their own."""
    os.environ[settings.CONNECTORS] = "s3a,alluxio"
    session = start_session()
    yield session
    session.stop()


CHOSEN = os.environ.get("STORAGES", "").split() or list(STORAGES)
"""Names of the storage servers to test: those in the variable STORAGES, or all."""


@pytest.fixture(scope="session", params=CHOSEN)
def system(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    with started(request.param, tmp_path_factory.mktemp(request.param)) as found:
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        for name, value in found.properties.items():
            hadoop.set(name, value)
        yield found


@dataclass(frozen=True)
class Elsewhere(AnyRunner):
    """All assets on a data folder that Hadoop's client reaches."""

    uri: str
    spark: SparkSession

    @property
    def files(self) -> HadoopFiles:
        return HadoopFiles(self.uri, lambda: hadoop_of(self.spark))

    @property
    def store(self) -> SnapshotStore:  # type: ignore[override]
        return SnapshotStore(self.files)

    def digests(self) -> pd.DataFrame:
        """Read the images again, by Spark."""
        images = image_index.scan(self.spark, [self.current("image_seqfile").uri])
        return images.select("fileName", "digest").toPandas()

    def rows(self, asset: str) -> pd.DataFrame:
        return self.spark.read.parquet(self.current(asset).uri).toPandas()


@pytest.fixture
def pipeline(system: System, spark: SparkSession, request: pytest.FixtureRequest) -> Elsewhere:
    """All assets on an empty data folder of a storage."""
    return Elsewhere(f"{system.uri}/{request.node.originalname}", spark)


CLASSIFIER = {"splits": 1, "max_iter": 5}
"""Configuration of the classifier of `expected`."""


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, image_folder: Path, spark: SparkSession) -> Runner:
    """What the images of `source` make on a local disk."""
    pipeline = Runner(tmp_path_factory.mktemp("expected") / "data")
    pipeline.run(image_folder, *ALL_ASSETS, image_classifier=CLASSIFIER)
    return pipeline


@pytest.fixture(scope="session")
def source(system: System, spark: SparkSession, image_folder: Path) -> str:
    """The URI of `image_folder`, copied to a storage."""
    uri = f"{system.uri}/images"
    files = HadoopFiles(uri, lambda: hadoop_of(spark))
    for file in sorted(image_folder.rglob("*.jpg")):
        files.create(str(file.relative_to(image_folder)), file.read_bytes())
    return uri
