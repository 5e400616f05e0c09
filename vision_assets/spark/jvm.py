"""Spark's JVM: how it starts, whether it is alive, and how to go on after its death."""

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.conf import SparkConf
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from vision_assets.spark.interrupts import interrupts_deferred
from vision_assets.spark.properties import configured_properties, spark_config

_PYTHON = "spark.pyspark.python"
_SECRET = re.compile("secret|password|token|access.?key", re.IGNORECASE)
"""In names of properties whose values are not to be shown, as in Spark's `spark.redaction.regex`."""
_NOTICES = (
    b"WARNING: Using incubator modules: jdk.incubator.vector",
    b"netlib-blas: JNI_OnLoad: dlopen(libblas.so.3) failed",  # MLlib goes on with Java code
)

_SECONDS_TO_DIE = 5
_SECONDS_TO_STOP = 2
OUT_OF_MEMORY = 52
"""Exit status that Spark gives a JVM that ran out of memory."""


def start(config: dict[str, str]) -> None:
    """Start Spark's JVM if none runs; lines on its error stream that nobody can act on are left out.

    Parameters
    ----------
    config : dict
        Spark properties; properties of the JVM itself take effect only here.
    """
    if SparkContext._gateway is not None:
        return
    if config["spark.master"].startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    elif python := (configured_properties() | config).get(_PYTHON):
        os.environ["PYSPARK_PYTHON"] = python  # PySpark itself reads only the variable
    # All users of the machine can read the command line of the JVM. The session gets the secrets.
    shown = [(name, value) for name, value in config.items() if not _SECRET.search(name)]
    conf = SparkConf(loadDefaults=False).setAll(shown)
    reading, writing = os.pipe()
    # The thread starts first, so that the pipe is read and closed however the start of the JVM ends.
    threading.Thread(
        target=_forward, args=(os.fdopen(reading, "rb"),), name="jvm-stderr", daemon=True
    ).start()
    # Until PySpark knows the JVM, nothing could end it.
    with os.fdopen(writing, "wb") as stderr, interrupts_deferred():
        gateway = launch_gateway(conf, popen_kwargs={"stderr": stderr})
        SparkContext._ensure_initialized(gateway=gateway)


def is_alive(session: SparkSession) -> bool:
    """Tell whether a session can be used; takes a fifth of a millisecond."""
    return _is_alive(session.sparkContext)


def stop_jvm() -> None:
    """End this process's JVM, and with it all tasks. The next use of Spark starts another one."""
    process = _process(SparkContext._gateway)
    if process is None:
        return
    if server := getattr(SparkContext._active_spark_context, "_accumulatorServer", None):
        server.handle_error = lambda *_: None  # it would print a stack when the JVM ends amid an update
    process.terminate()  # it removes its temporary files
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def forget_dead_jvm() -> bool:
    """Drop PySpark's references to this process's JVM if it died, so that another JVM can be started.

    Returns
    -------
    bool
        Whether the JVM had died.
    """
    gateway: Any = SparkContext._gateway
    context = SparkContext._active_spark_context
    if gateway is None or (_answers(gateway) if context is None else _is_alive(context)):
        return False
    if context is not None:
        context._jsc = None  # else `stop` would call the JVM; a new session sees that the old one is dead
        context.stop()
    SparkContext._gateway = SparkContext._jvm = None
    gateway.shutdown()
    process = _process(gateway)
    if process is not None:
        # It may linger: after a context was stopped for lack of memory, its threads still run.
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
    start(spark_config())
    gateway: Any = SparkContext._gateway
    spark = gateway.jvm.org.apache.spark
    return gateway, spark.deploy.SparkHadoopUtil.get().newConfiguration(spark.SparkConf())


def exit_status() -> int | None:
    """Return the exit status of this process's JVM.

    Returns
    -------
    int or None
        Minus the number of the signal that ended it. None while it is alive, or if another program
        started it.
    """
    process = _process(SparkContext._gateway)
    if process is None:
        return None
    try:
        # Its connections close some time before it ends.
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


def _forward(stream: IO[bytes]) -> None:
    with stream:
        for line in stream:
            if not line.startswith(_NOTICES):
                os.write(2, line)
