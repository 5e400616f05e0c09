import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from pyspark.sql import SparkSession
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from vision_assets import settings
from vision_assets.spark.session import start_session
from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Runner
from vision_assets_tests.vision import images

SUBMIT_ARGS = "PYSPARK_SUBMIT_ARGS"
OF_THE_USER = (
    settings.DATA,
    settings.SOURCE,
    settings.CONFIG,
    settings.KEEP_SNAPSHOTS,
    settings.PICTURES,
    settings.CONNECTORS,
    settings.LOG,
)
for name in (*OF_THE_USER, "SPARK_CONF_DIR", SUBMIT_ARGS, "DAGSTER_HOME"):
    os.environ.pop(name, None)
os.environ[settings.SPARK_MASTER] = "local[2]"
os.environ[settings.EXTRACTORS] = "all"
# Processes that tests start take the code of this checkout, wherever the environment has its own from.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)

# On a busy machine an example may take long; how long is not what these tests are about.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

APART = {
    "whole": "browser, benchmark and failure-injection tests, complete runs: make test-whole",
    "storage": "tests on real servers (HDFS, Swift, S3, Alluxio, Spark, PostgreSQL): make test-storage",
    "torture": "tests that take hours: make torture",
}
"""Markers of tests that run by ``-m`` alone, and what runs them."""
SERVER = "server"
"""Property of a test's report: which real server it runs on, the argument of its marker or a parameter."""


FEW_TASKS = {
    "spark.sql.files.minPartitionNum": "4",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
}
"""Properties of Spark for tables of a dozen rows."""
LITTLE_COMPILING = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Without its optimising compiler, Java reserves little memory for compiled code, and keeps sweeping it.
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
}
"""Properties of Spark for runs of seconds, which compiled code cannot make shorter."""


def pytest_configure(config: pytest.Config) -> None:
    """Choose Spark's properties. Tests with the markers `whole` and `torture` run with those of a user."""
    chosen = {"": FEW_TASKS | LITTLE_COMPILING, "storage": LITTLE_COMPILING}
    properties = chosen.get(config.option.markexpr.partition(" ")[0], {})
    # Not by SPARK_CONF_DIR: with that folder in its class path, Java does not use the archive of classes.
    given = [word for name, value in properties.items() for word in ("--conf", f"{name}={value}")]
    os.environ[SUBMIT_ARGS] = shlex.join([*given, "pyspark-shell"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    apart = [name for name in APART if name not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in apart)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        chosen = set(items) - set(left_out)
        items[:] = [item for item in items if item in chosen]
    # The longest files first, so that no process is left alone with one: those whose tests need Spark; where
    # a marker is chosen, those that start processes of their own.
    on_spark = Counter(item.path for item in items if "spark" in getattr(item, "fixturenames", ()))
    items.sort(key=lambda item: on_spark[item.path] * (1 if config.option.markexpr else -1))
    for item in items:
        if marker := item.get_closest_marker("storage"):
            system = item.callspec.params.get("system") if hasattr(item, "callspec") else None
            item.user_properties.append((SERVER, marker.args[0] if marker.args else system))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Have each file run in one process, and those of each storage, whose server takes a while to start."""
    return ByServer(config, log) if config.option.dist == "loadfile" else None


class ByServer(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        storage = re.search(r"systems/test_systems\.py::\w+\[(\w+)", nodeid)
        return f"{super()._split_scope(nodeid)} {storage[1] if storage else ''}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.option.markexpr:
        for tests in APART.values():
            terminalreporter.line(f"Not run: {tests}", yellow=True)
    for outcome in ("passed", "failed", "error", "skipped"):
        reports = terminalreporter.stats.get(outcome, [])
        servers = Counter(dict(getattr(report, "user_properties", ())).get(SERVER) for report in reports)
        if found := ", ".join(f"{name} ({count} tests)" for name, count in servers.items() if name):
            terminalreporter.line(f"Real servers, {outcome}: {found}")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_160_122)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = start_session()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def remote(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a folder, and the URI by which Hadoop reaches it: Hadoop keeps to the first that it was told."""
    folder = tmp_path_factory.mktemp("remote")
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    configuration.set("fs.viewfs.mounttable.store.link./data", f"file://{folder}")
    return folder, "viewfs://store/data"


@pytest.fixture
def pipeline(tmp_path: Path, spark: SparkSession) -> Runner:
    """All assets on an empty data folder."""
    return Runner(tmp_path / "data")


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images in two folders, on which SIFT finds some thousand keypoints."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(12):
        file = folder / ("cats" if index % 2 else "dogs") / f"image {index:02}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(images.jpeg(images.colored(seed=3 * index)))
    return folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, image_folder: Path, spark: SparkSession) -> Runner:
    """A pipeline that has run once, but for its classifier. Only for tests that add nothing to it."""
    pipeline = Runner(tmp_path_factory.mktemp("filled") / "data")
    pipeline.run(image_folder, *UP_TO_ENCODINGS, "image_labels")
    return pipeline


@pytest.fixture
def filled_copy(filled: Runner, tmp_path: Path) -> Runner:
    """A copy of a pipeline that has run once, to be changed."""
    shutil.copytree(filled.data, tmp_path / "data")
    return Runner(tmp_path / "data")
