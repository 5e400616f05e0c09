"""Spark sessions: their start, their executors and their cores."""

import re
import time
from typing import Any

from pyspark.sql import SparkSession

from vision_assets.spark import jvm
from vision_assets.spark.interrupts import handlers_kept
from vision_assets.spark.properties import spark_config
from vision_assets.spark.shipping import ship

_ATTEMPTS = 4  # of a task, as on a cluster; by default Spark makes one in local mode
_EXECUTORS_TAKE = 30.0  # seconds, at most, until the first has come
_EXECUTORS_APART = 1.0  # seconds, at most, from one to the next
_SHUFFLED_PER_CORE = 4  # on a cluster, whose cores are not equally fast
PARTITIONS_PER_CORE = 16
"""So many that progress shows, and that the last tasks do not wait for one long task."""


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
    jvm.start(config)
    builder = SparkSession.builder
    for name, value in config.items():
        builder = builder.config(name, value)
    with handlers_kept():
        return builder.getOrCreate()


def with_attempts(master: str) -> str:
    """Let a local Spark try a failed task again, unless its master already says how often.

    Parameters
    ----------
    master : str
        For instance ``local[*]``.

    Returns
    -------
    str
        For instance ``local[*,4]``; a master that is not local stays as it is.
    """
    local = re.fullmatch(r"local(?:\[\s*(\d+|\*)\s*\])?", master)
    return f"local[{local[1] or 1},{_ATTEMPTS}]" if local else master


def start_session(config: dict[str, str] | None = None) -> SparkSession:
    """Return the Spark session of this process, started if there is none.

    Parameters
    ----------
    config : dict, optional
        Spark properties; those of `spark_config` if None. A local master gets more attempts; see
        `with_attempts`.

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
    # Each of Spark's 200 partitions costs milliseconds, even if it is empty.
    if master.startswith("local"):
        _set_unless_configured(session, config, "spark.sql.shuffle.partitions", cores)
    else:
        if _executors(session):
            shares = _SHUFFLED_PER_CORE * cores
            _set_unless_configured(session, config, "spark.sql.shuffle.partitions", shares)
        ship(session.sparkContext)
    # Without hidden checksum files, so that every reader of Parquet accepts a local table's folder.
    hadoop: Any = session.sparkContext._jvm.org.apache.hadoop.fs.FileSystem  # type: ignore[union-attr]
    hadoop.getLocal(session.sparkContext._jsc.hadoopConfiguration()).setWriteChecksum(False)
    return session


def lacks_executors(session: SparkSession) -> bool:
    """Tell whether a cluster that allocates executors at once has given a session none."""
    return _executors_are_due(session) and not _executors(session)


def cores_of(session: SparkSession) -> str:
    """Return in words how many cores a session has, such as ``8 cores``."""
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
    """Wait for the executors, because tables are cut by the number of their cores."""
    found = 0
    until = time.monotonic() + _EXECUTORS_TAKE
    while _executors_are_due(session) and time.monotonic() < until:
        if (now := _executors(session)) > found:
            found, until = now, time.monotonic() + _EXECUTORS_APART
        time.sleep(0.05)


def _set_unless_configured(session: SparkSession, config: dict[str, str], name: str, value: int) -> None:
    # A session that ran before has in `config` what its context was started without.
    if name not in config and not session.sparkContext.getConf().contains(name):
        session.conf.set(name, str(value))
