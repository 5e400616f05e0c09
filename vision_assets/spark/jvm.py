"""Spark's JVM: whether it lives, and how to go on after its death."""

import subprocess
from contextlib import suppress
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql import SparkSession

from vision_assets.spark.session import spark_config, start_jvm

_SECONDS_TO_DIE = 5
OUT_OF_MEMORY = 52
"""Exit status that Spark gives a JVM that ran out of memory."""


def is_alive(session: SparkSession) -> bool:
    """Tell whether a session can be used; takes a fifth of a millisecond."""
    return _is_alive(session.sparkContext)


def forget_dead_jvm() -> bool:
    """Drop all that PySpark holds of this process's JVM if that has died, so that another can be started.

    Returns
    -------
    bool
        Whether it had died.
    """
    gateway: Any = SparkContext._gateway
    context = SparkContext._active_spark_context
    if gateway is None or (_answers(gateway) if context is None else _is_alive(context)):
        return False
    if context is not None:
        context._jsc = None  # else `stop` would call the JVM; by this a new session knows the old for dead
        context.stop()
    SparkContext._gateway = SparkContext._jvm = None
    gateway.shutdown()
    process = _process(gateway)
    if process is not None:
        # It may linger: one whose context was stopped for lack of memory has its threads still.
        process.kill()
        process.wait()
        with suppress(OSError):
            process.stdin.close()
    return True


def hadoop_of(session: SparkSession) -> tuple[Any, Any]:
    """Return the gateway to a session's JVM and the session's configuration of Hadoop."""
    return _hadoop_of(session.sparkContext)


def hadoop() -> tuple[Any, Any]:
    """Return the gateway to this process's JVM and Hadoop's configuration in it; no Spark session is needed.

    The configuration is the session's if one runs. A JVM that is missing or dead is started, which takes some
    two seconds.
    """
    forget_dead_jvm()
    if SparkContext._active_spark_context is not None:
        return _hadoop_of(SparkContext._active_spark_context)
    start_jvm(spark_config())
    gateway: Any = SparkContext._gateway
    spark = gateway.jvm.org.apache.spark
    return gateway, spark.deploy.SparkHadoopUtil.get().newConfiguration(spark.SparkConf())


def exit_status() -> int | None:
    """Return the exit status of this process's JVM, negative for a signal; None while it lives.

    Returns
    -------
    int or None
        None as well if another program has started it.
    """
    process = _process(SparkContext._gateway)
    if process is None:
        return None
    try:
        # Its connections are gone some time before it.
        return process.wait(_SECONDS_TO_DIE)
    except subprocess.TimeoutExpired:
        return None


def _hadoop_of(context: Any) -> tuple[Any, Any]:
    return context._gateway, context._jsc.hadoopConfiguration()


def _process(gateway: Any) -> Any:
    return getattr(gateway, "proc", None)


def _is_alive(context: SparkContext) -> bool:
    jsc: Any = context._jsc
    try:
        return jsc is not None and not jsc.sc().isStopped()
    except (Py4JError, OSError):
        return False


def _answers(gateway: Any) -> bool:
    try:
        gateway.jvm.java.lang.System.nanoTime()
    except (Py4JError, OSError):
        return False
    return True
