"""The Spark properties of this project, for what the user's own Spark configuration does not set."""

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from vision_assets import settings
from vision_assets.spark.connectors import connector_config

_LOG4J = Path(__file__).with_name("log4j2.properties")
# The first compiler alone, without counting for the second: its own time falls to a third, which shows in a
# short job. Most of a long one is native code, in the workers and here.
_COMPILE_ONCE = "-XX:TieredStopAtLevel=1"
# On executors, only code that runs very often is worth the second one. These are twenty times the defaults.
_COMPILE_LATE = (
    "-XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=20000 "
    "-XX:Tier4CompileThreshold=300000 -XX:Tier4BackEdgeThreshold=800000"
)
# G1 treats batches of 16 MB as humongous and runs a cycle for every few of them.
_COLLECTOR = "-XX:+UseParallelGC"
# Batches live for milliseconds. Left alone, the collector lets the heap grow to its limit before it looks at
# what it has kept; with these it takes two thirds of the memory, and no more time.
_NEW_BYTES_PER_CORE = 128 << 20
_OTHER_JAVA_OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
_DEFAULT_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
_HDFS_CLOSE = "spark.hadoop.dfs.client.block.write.locateFollowingBlock"
SILENT_ARCHIVE = "-Xlog:cds*=off"
"""Java option. Without it, a JVM that cannot use a class archive says so within the output of a command."""


def spark_config(chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the Spark properties of this project, without those that ``spark-defaults.conf`` sets.

    Parameters
    ----------
    chosen : mapping, optional
        Properties of a run, which take precedence and are returned with the others.

    Returns
    -------
    dict
        Property to value.
    """
    chosen = chosen or {}
    configured = configured_properties() | dict(chosen)
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
        # Spark runs one task per core; threads of a worker would only compete with the other tasks.
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
        # Workers allocate and free dozens of megabytes per row. Blocks of up to 32 MB stay with the worker,
        # up to 256 MB in all: fetching them from the kernel again takes a seventh of a SIFT extraction.
        "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": str(256 << 20),
        # Only a name: the daemon imports what workers need, which is in the rooms above this one. This
        # package never imports it.
        "spark.python.daemon.module": "vision_assets.steps.worker_daemon",
        # Batches to Python are bounded in bytes, because one row may have megabytes.
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        # Snappy hardly shrinks descriptors; zstd at level 1 saves a quarter and takes no more time.
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.hadoop.parquet.compression.codec.zstd.level": "1",
        # A row may have a megabyte. By default Parquet checks the size of a page after 100 rows for the first
        # time, and reads 4,096 rows at once.
        "spark.hadoop.parquet.page.size.row.check.min": "4",
        "spark.hadoop.parquet.block.size.row.check.min": "4",
        "spark.sql.parquet.columnarReaderBatchSize": "64",
        # Row groups without any of a few dozen names that are looked up are not read.
        "spark.sql.parquet.pushdown.inFilterThreshold": "100",
        # A table's folder contains nothing but the table, so that every reader of Parquet understands it.
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        # Files of a finished task are in place at once, and stay if the run dies. Nobody reads them before
        # the table is committed.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        # The folder may already have files that are reused from earlier tables.
        "spark.hadoop.validateOutputSpecs": "false",
        # No stream writes a folder that is read here. Looking for the log of a stream under an escaped path
        # prints a stack.
        "spark.sql.streaming.fileStreamSink.ignoreMetadata": "true",
        # These checksums replace the checksum file beside each file; see `start_session`.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        # HDFS closes a file once a data node has reported its last block, usually milliseconds later. The
        # client asks again after 20, 40, 80, ... ms instead of 400, 800, ..., and waits as long in total.
        f"{_HDFS_CLOSE}.initial.delay.ms": "20",
        f"{_HDFS_CLOSE}.retries": "10",
    }
    ours |= connector_config(configured)
    # The driver is on this machine, whatever the master.
    java_options = [_COMPILE_ONCE, *_class_archive_options()]
    if not Path(os.environ.get("SPARK_CONF_DIR", ""), "log4j2.properties").is_file():
        java_options.append(f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}")
    if master.startswith("local"):
        # A JVM that is given two collectors does not start.
        others = [os.environ.get(name, "") for name in _OTHER_JAVA_OPTIONS]
        if not any("GC" in options for options in (*others, configured.get(_DEFAULT_JAVA_OPTIONS, ""))):
            young = _NEW_BYTES_PER_CORE * (os.cpu_count() or 1)
            java_options += [_COLLECTOR, "-XX:-UseAdaptiveSizePolicy", f"-XX:MaxNewSize={young}"]
        ours |= {
            # Nothing listens on the network, and Spark need not guess this machine's address.
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # Otherwise each shuffle of a query is a job of its own, planned again after it. There are as many
            # shuffled partitions as cores, which need no second plan.
            "spark.sql.adaptive.enabled": "false",
            # A broadcast is a job, too; tables that are worth it say so.
            "spark.sql.autoBroadcastJoinThreshold": "-1",
        }
    else:
        # Fetching the input from another machine takes less time than a task, so no core waits for the
        # machine that has the input. The default of 3 s is longer than a pass of k-means over cached data.
        ours["spark.locality.wait"] = "0"
        # Spark puts these before the user's own, in `spark.executor.extraJavaOptions`.
        ours["spark.executor.defaultJavaOptions"] = _COMPILE_LATE
    ours["spark.driver.extraJavaOptions"] = " ".join(java_options)
    # The user's values of these two are part of ours.
    with_theirs = ("spark.master", "spark.jars")
    needed = {name: value for name, value in ours.items() if name in with_theirs or name not in configured}
    return dict(chosen) | needed


def class_archive() -> Path:
    """Return the path of the archive of Java classes in this Python environment, which may not exist.

    A JVM that maps it starts faster; `vision_assets.steps.class_archive` creates it.
    """
    return Path(sys.prefix, "share", "vision_assets", f"spark-{version('pyspark')}.jsa")


def _class_archive_options() -> list[str]:
    file = class_archive()
    return [f"-XX:SharedArchiveFile={file}", SILENT_ARCHIVE] if file.is_file() else []


def configured_properties() -> dict[str, str]:
    """Return the properties that the user has set in ``spark-defaults.conf`` in the folder SPARK_CONF_DIR."""
    folder = os.environ.get("SPARK_CONF_DIR")
    file = Path(folder, "spark-defaults.conf") if folder else None
    if file is None or not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.replace("=", " ", 1).split(None, 1) for line in lines if line and line[0] != "#")
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
