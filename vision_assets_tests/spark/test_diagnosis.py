"""Errors as they really come, provoked here wherever one machine can."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from vision_assets.spark.diagnosis import Diagnosis, diagnose


def cause_of(job: Callable[[], Any]) -> Diagnosis:
    try:
        job()
    except Exception as error:  # noqa: BLE001 - Spark's are of many classes
        cause = diagnose(error)
    assert "\n" not in cause.text
    return cause


def fail_in_python(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for _ in batches:
        raise ValueError("what is wrong\nand more of it")
    yield pd.DataFrame()


def be_killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def divide(number: int) -> float:
    return number / 0


def test_python_errors_of_workers(spark: SparkSession) -> None:
    assert cause_of(spark.range(3).mapInPandas(fail_in_python, "id long").collect) == Diagnosis(
        "ValueError: what is wrong"
    )
    numbers = spark.sparkContext.parallelize([1], 1)
    assert cause_of(numbers.map(divide).collect) == Diagnosis("ZeroDivisionError: division by zero")
    killed = cause_of(numbers.map(be_killed).collect)
    assert killed.text.startswith("A Python worker of Spark has died")
    assert killed.may_pass


@pytest.mark.parametrize(
    ("uri", "named", "may_pass"),
    [
        ("hdfs://127.0.0.1:1/x", "Nothing answers at localhost:1. ", True),
        ("hdfs://no-such-host.invalid/x", "The host no-such-host.invalid is unknown.", True),
        ("s3a://bucket/x", "Class org.apache.hadoop.fs.s3a.S3AFileSystem not found.", False),
        ("foo://bucket/x", 'No FileSystem for scheme "foo".', False),
        ("swift://container.place/x", "no client for swift:// any more. Write s3a://", False),
        ("file:///no/such/folder", "Path does not exist: file:/no/such/folder", False),
    ],
)
def test_storage_that_cannot_be_reached(spark: SparkSession, uri: str, named: str, may_pass: bool) -> None:
    cause = cause_of(partial(spark.read.parquet, uri))
    assert named in cause.text
    assert cause.may_pass is may_pass


def test_denied_access(spark: SparkSession, tmp_path: Path) -> None:
    # Not even root may create a file there.
    cause = cause_of(partial(Path("/sys/denied").write_text, ""))
    assert cause == Diagnosis(
        "Access is denied (PermissionError: [Errno 13] Permission denied: '/sys/denied'). Allow this user "
        "to, or mend the credentials.",
        may_pass=False,
    )


def test_a_jvm_without_memory(spark: SparkSession) -> None:
    gateway: Any = spark.sparkContext._gateway
    array = gateway.new_array(gateway.jvm.byte, 1)
    cause = cause_of(partial(gateway.jvm.java.util.Arrays.copyOf, array, 2**31 - 1))
    assert cause.text.startswith("Spark's JVM has run out of memory (OutOfMemoryError: ")
    assert "spark.driver.memory" in cause.text


def test_a_task_that_fails_in_java_is_named_by_its_first_cause(spark: SparkSession) -> None:
    cause = cause_of(partial(spark.range(3).write.parquet, "file:///proc/x"))
    assert cause.text.startswith("IOException: Mkdirs failed to create file:/proc/x/")


# As a cluster says it, on which each executor was killed.
EXECUTOR_LOST = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times, "
    "most recent failure: Lost task 0.3 in stage 0.0 (TID 3) (192.0.2.2 executor 3): ExecutorLostFailure "
    "(executor 3 exited caused by one of the running tasks) Reason: Command exited with code 137\n"
    "Driver stacktrace:\n"
)
# As Hadoop's clients say it of Swift and of HDFS.
UNKNOWN_ENDPOINT = (
    "java.net.UnknownHostException: listObjects() on s3a://bucket/x: software.amazon.awssdk.core.exception."
    "SdkClientException: Received an UnknownHostException when attempting to interact with a service.\n"
    "Caused by: java.net.UnknownHostException: swift.invalid: Name or service not known\n\t... 22 more\n"
)
UNKNOWN_DESTINATION = (
    'java.net.UnknownHostException: Invalid host name: local host is: "here/192.0.2.1"; destination host is: '
    '"namenode.invalid":8020; java.net.UnknownHostException; For more details see: ...\n'
    "Caused by: java.net.UnknownHostException\n"
)


@pytest.mark.parametrize(
    ("said", "named", "may_pass"),
    [
        (EXECUTOR_LOST, "lost an executor, again and again: Command exited with code 137.", True),
        ("java.net.SocketTimeoutException: Read timed out", "no answer in time (", True),
        (UNKNOWN_ENDPOINT, "The host swift.invalid is unknown.", True),
        (UNKNOWN_DESTINATION, "The host namenode.invalid is unknown.", True),
        ("java.io.EOFException: End of File Exception between local host is: x", "does not answer", True),
        ("Job aborted.\nCaused by: java.io.IOException: No space left on device\n at x", "Make room", False),
        ("org.apache.hadoop.security.AccessControlException: user=me", "Access is denied", False),
        ("Status Code: 403; Error Code: InvalidAccessKeyId", "Access is denied", False),
    ],
)
def test_what_takes_a_cluster_or_a_full_disk(said: str, named: str, may_pass: bool) -> None:
    cause = diagnose(OSError(said))
    assert named in cause.text
    assert cause.may_pass is may_pass


def test_an_error_without_a_word_has_its_name() -> None:
    assert diagnose(ValueError()) == Diagnosis("ValueError")
