"""Spark as this project needs it, unless the user's own Spark configuration says otherwise."""

import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from pyspark import SparkContext
from pyspark.conf import SparkConf
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.spark.connectors import connector_config
from vision_assets.spark.shipping import ship

_LOG4J = Path(__file__).with_name("log4j2.properties")
# Only what runs very often is worth the optimising compiler, whose threads take the cores from a short job.
# These are twenty times the defaults.
_COMPILE_LATE = (
    "-XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=20000 "
    "-XX:Tier4CompileThreshold=300000 -XX:Tier4BackEdgeThreshold=800000"
)
# Batches of 16 MB are humongous to G1, which runs a cycle for every few of them.
_COLLECTOR = "-XX:+UseParallelGC"
_OTHER_JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_DEFAULT_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
_HDFS_CLOSE = "spark.hadoop.dfs.client.block.write.locateFollowingBlock"
_PYTHON = "spark.pyspark.python"
_ATTEMPTS = 4  # of a task, as on a cluster; in local mode Spark has one unless the master says more
_EXECUTORS_TAKE = 30.0  # seconds, at most, until the first has come
_EXECUTORS_APART = 1.0  # seconds, at most, from one to the next
_SHUFFLED_PER_CORE = 4  # on a cluster, whose cores are not equally fast
PARTITIONS_PER_CORE = 16  # so that progress shows and the last tasks do not wait for one long one
SILENT_ARCHIVE = "-Xlog:cds*=off"
"""Java option: else a JVM that cannot use a class archive says so amid the output of a command."""
_SECRET = re.compile("secret|password|token|access.?key", re.IGNORECASE)
"""In names of properties whose values are not to be shown, as in Spark's `spark.redaction.regex`."""
_JVM_NOTICES = (
    b"WARNING: Using incubator modules: jdk.incubator.vector",
    b"netlib-blas: JNI_OnLoad: dlopen(libblas.so.3) failed",  # MLlib goes on with Java code
)


def spark_config(chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the Spark properties of this project, without those that ``spark-defaults.conf`` sets.

    Parameters
    ----------
    chosen : mapping, optional
        Properties of a run, which win and are returned with the others.

    Returns
    -------
    dict
        Property to value.
    """
    chosen = chosen or {}
    configured = _configured_properties() | dict(chosen)
    master = (
        chosen.get("spark.master")
        or os.environ.get(settings.SPARK_MASTER)
        or configured.get("spark.master")
        or "local[*]"
    )
    ours = {
        "spark.master": master,
        "spark.app.name": "vision_assets",
        "spark.driver.memory": "2g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Spark runs tasks side by side; a worker that starts threads of its own only fights the others.
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
        # SIFT takes and gives back dozens of megabytes per image. What is up to 32 MB a piece stays with the
        # worker, up to 256 MB in all: to have it from the kernel anew takes a seventh of the extraction.
        "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": str(256 << 20),
        "spark.python.daemon.module": "vision_assets.steps.worker_daemon",
        # Batches to Python are bounded in bytes, since a row may hold all descriptors of a large image.
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        # Snappy hardly shrinks descriptors; zstd's level 1 saves a quarter in the time of no compression.
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.hadoop.parquet.compression.codec.zstd.level": "1",
        # A row may have all descriptors of an image, a megabyte of DAISY's. By default a page is looked at
        # after 100 rows for the first time, and 4,096 rows are read at once.
        "spark.hadoop.parquet.page.size.row.check.min": "4",
        "spark.hadoop.parquet.block.size.row.check.min": "4",
        "spark.sql.parquet.columnarReaderBatchSize": "64",
        # So that what has none of a few dozen names that are looked up is not read.
        "spark.sql.parquet.pushdown.inFilterThreshold": "100",
        # A snapshot's folder holds the table alone, which every reader of Parquet understands.
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        # What a task has finished is in place at once, and stays should the run die. Nobody reads it before
        # the snapshot is whole.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        # The folder may have files of other snapshots already, which are taken over.
        "spark.hadoop.validateOutputSpecs": "false",
        # No stream writes a folder that is read here. To look for its log under a path that had to be escaped
        # fills the standard error stream with a stack.
        "spark.sql.streaming.fileStreamSink.ignoreMetadata": "true",
        # In place of the checksum files beside each file, see `start_session`.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        # HDFS closes a file once a data node has reported its last block, mostly some milliseconds later: its
        # client looks again after 20, 40, 80, ... ms in place of 400, 800, ..., and is as patient in all.
        f"{_HDFS_CLOSE}.initial.delay.ms": "20",
        f"{_HDFS_CLOSE}.retries": "10",
    }
    ours |= connector_config(configured)
    # The driver is on this machine, whatever the master.
    java_options = [_COMPILE_LATE, *_class_archive_options()]
    if not Path(os.environ.get("SPARK_CONF_DIR", ""), "log4j2.properties").is_file():
        java_options.append(f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}")
    if master.startswith("local"):
        # A JVM that is told of two collectors does not start.
        others = [os.environ.get(name, "") for name in _OTHER_JAVA_OPTIONS]
        if not any("GC" in options for options in (*others, configured.get(_DEFAULT_JAVA_OPTIONS, ""))):
            java_options.append(_COLLECTOR)
        # Nothing listens on the network, and Spark need not guess this machine's address.
        ours |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    else:
        # A task takes longer than to have its input from another machine: no core waits until the one is free
        # that has it. By default it does so for 3 s, longer than a pass of k-means over what it has cached.
        ours["spark.locality.wait"] = "0"
        # Before those of the user, in `spark.executor.extraJavaOptions`.
        ours["spark.executor.defaultJavaOptions"] = _COMPILE_LATE
    ours["spark.driver.extraJavaOptions"] = " ".join(java_options)
    # What the user says of these two is in them.
    with_theirs = ("spark.master", "spark.jars")
    needed = {name: value for name, value in ours.items() if name in with_theirs or name not in configured}
    return dict(chosen) | needed


def class_archive() -> Path:
    """Return where `vision_assets.steps.class_archive` keeps its file: in this Python environment."""
    return Path(sys.prefix, "share", "vision_assets", f"spark-{version('pyspark')}.jsa")


def _class_archive_options() -> list[str]:
    file = class_archive()
    return [f"-XX:SharedArchiveFile={file}", SILENT_ARCHIVE] if file.is_file() else []


def _configured_properties() -> dict[str, str]:
    folder = os.environ.get("SPARK_CONF_DIR")
    file = Path(folder, "spark-defaults.conf") if folder else None
    if file is None or not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.replace("=", " ", 1).split(None, 1) for line in lines if line and line[0] != "#")
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def start_jvm(config: dict[str, str]) -> None:
    """Start Spark's JVM, if none runs, without those lines on its error stream that nobody can act on.

    Parameters
    ----------
    config : dict
        Spark properties; those of the JVM itself take effect only here.
    """
    if SparkContext._gateway is not None:
        return
    if config["spark.master"].startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    elif python := (_configured_properties() | config).get(_PYTHON):
        os.environ["PYSPARK_PYTHON"] = python  # PySpark itself asks for the variable alone
    # All users of the machine can read the JVM's command line. The session gets the rest.
    shown = [(name, value) for name, value in config.items() if not _SECRET.search(name)]
    conf = SparkConf(loadDefaults=False).setAll(shown)
    reading, writing = os.pipe()
    # At once, so that it is read and closed however the start ends.
    threading.Thread(
        target=_forward, args=(os.fdopen(reading, "rb"),), name="jvm-stderr", daemon=True
    ).start()
    with os.fdopen(writing, "wb") as stderr:
        gateway = launch_gateway(conf, popen_kwargs={"stderr": stderr})
    SparkContext._ensure_initialized(gateway=gateway)


def _forward(stream: IO[bytes]) -> None:
    with stream:
        for line in stream:
            if not line.startswith(_JVM_NOTICES):
                os.write(2, line)


def plain_session(config: dict[str, str]) -> SparkSession:
    """Return the Spark session of this process, started with these properties alone if there is none.

    Parameters
    ----------
    config : dict
        Spark properties.

    Returns
    -------
    SparkSession
    """
    start_jvm(config)
    builder = SparkSession.builder
    for name, value in config.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def with_attempts(master: str) -> str:
    """Have a local Spark try a task again that failed, unless its master says itself how often.

    Parameters
    ----------
    master : str
        For instance ``local[*]``.

    Returns
    -------
    str
        For instance ``local[*,4]``; any master that is not local as it is.
    """
    local = re.fullmatch(r"local(?:\[\s*(\d+|\*)\s*\])?", master)
    return f"local[{local[1] or 1},{_ATTEMPTS}]" if local else master


def start_session(config: dict[str, str] | None = None) -> SparkSession:
    """Return the Spark session of this process, started if there is none.

    Parameters
    ----------
    config : dict, optional
        Spark properties; those of `spark_config` if None. Of a local master see `with_attempts`.

    Returns
    -------
    SparkSession
    """
    config = spark_config() if config is None else config
    master = config["spark.master"]
    session = plain_session(config | {"spark.master": with_attempts(master)})
    _await_executors(session)
    cores = session.sparkContext.defaultParallelism
    _set_unless_configured(session, config, "spark.sql.files.minPartitionNum", PARTITIONS_PER_CORE * cores)
    # Each of Spark's 200 costs milliseconds, whatever is in it.
    if master.startswith("local"):
        _set_unless_configured(session, config, "spark.sql.shuffle.partitions", cores)
    else:
        if _executors(session):
            shares = _SHUFFLED_PER_CORE * cores
            _set_unless_configured(session, config, "spark.sql.shuffle.partitions", shares)
        ship(session.sparkContext)
    # Without hidden checksum files, so that every reader of Parquet takes a local snapshot's folder.
    hadoop: Any = session.sparkContext._jvm.org.apache.hadoop.fs.FileSystem  # type: ignore[union-attr]
    hadoop.getLocal(session.sparkContext._jsc.hadoopConfiguration()).setWriteChecksum(False)
    return session


def lacks_executors(session: SparkSession) -> bool:
    """Return whether a cluster that allocates executors at once has given a session none."""
    return _executors_are_due(session) and not _executors(session)


def cores_of(session: SparkSession) -> str:
    """Return in words how many cores a session has."""
    if _allocates_later(session):
        return "as many cores as are allocated"
    return f"{session.sparkContext.defaultParallelism} cores"


def _executors_are_due(session: SparkSession) -> bool:
    return not (_allocates_later(session) or str(session.sparkContext.master).startswith("local"))


def _allocates_later(session: SparkSession) -> bool:
    return session.conf.get("spark.dynamicAllocation.enabled", "false") == "true"


def _executors(session: SparkSession) -> int:
    driver = 1
    return session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - driver


def _await_executors(session: SparkSession) -> None:
    """Wait until the executors have come: tables are cut by the number of their cores."""
    found = 0
    until = time.monotonic() + _EXECUTORS_TAKE
    while _executors_are_due(session) and time.monotonic() < until:
        if (now := _executors(session)) > found:
            found, until = now, time.monotonic() + _EXECUTORS_APART
        time.sleep(0.05)


def _set_unless_configured(session: SparkSession, config: dict[str, str], name: str, value: int) -> None:
    if name not in config and name not in _configured_properties():
        session.conf.set(name, str(value))
