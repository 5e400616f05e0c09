"""Errors as they really come, provoked here wherever one machine can."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark.diagnosis import Diagnosis, Kind, diagnose


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
    assert killed.text.startswith("A Python worker of Spark died")
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
        "/sys/denied: permission denied. Allow this user to read and write there, then run again.",
        may_pass=False,
        kind=Kind.PERMISSION,
    )


def test_a_jvm_without_memory(spark: SparkSession) -> None:
    gateway: Any = spark.sparkContext._gateway
    array = gateway.new_array(gateway.jvm.byte, 1)
    cause = cause_of(partial(gateway.jvm.java.util.Arrays.copyOf, array, 2**31 - 1))
    assert cause.text.startswith("Spark's JVM ran out of memory (OutOfMemoryError: ")
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
        (EXECUTOR_LOST, "lost an executor several times: Command exited with code 137.", True),
        ("java.net.SocketTimeoutException: Read timed out", "No answer came in time (", True),
        (UNKNOWN_ENDPOINT, "The host swift.invalid is unknown.", True),
        (UNKNOWN_DESTINATION, "The host namenode.invalid is unknown.", True),
        ("java.io.EOFException: End of File Exception between local host is: x", "does not answer", True),
        ("Job aborted.\nCaused by: java.io.IOException: No space left on device\n at x", "Make room", False),
        ("org.apache.hadoop.security.AccessControlException: user=me", "Access is denied (", False),
        ("Status Code: 403; Error Code: InvalidAccessKeyId", "Access is denied", False),
    ],
)
def test_what_takes_a_cluster_or_a_full_disk(said: str, named: str, may_pass: bool) -> None:
    cause = diagnose(OSError(said))
    assert named in cause.text
    assert cause.may_pass is may_pass


def test_an_error_without_a_word_has_its_name() -> None:
    assert diagnose(ValueError()) == Diagnosis("ValueError")


def test_a_users_error_comes_first() -> None:
    error = UserError("No space left on device, says the user.")
    assert diagnose(error, source="x") == Diagnosis(str(error), may_pass=False, kind=Kind.USER_ERROR)


def refuse(_: int) -> int:
    raise UserError("cannot read 'a.jpg'. Do this.")


def test_a_users_error_in_a_worker_is_found_in_sparks_error(spark: SparkSession) -> None:
    cause = cause_of(spark.sparkContext.parallelize([1], 1).map(refuse).collect)
    assert cause == Diagnosis("cannot read 'a.jpg'. Do this.", may_pass=False, kind=Kind.USER_ERROR)


@pytest.mark.parametrize(
    ("said", "folder"),
    [
        ("[Errno 28] No space left on device: '/data/x'", "the disk of /data/x"),
        ("writing rows to file:/data/x.\nCaused by: No space left on device", "the disk of /data/x"),
        ("No space left on device\n\tat org.apache.spark.shuffle.X", "Spark's temporary folder /scratch"),
        ("Disk quota exceeded", "the data folder or Spark's temporary folder /scratch"),
    ],
)
def test_a_full_disk_is_named(said: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/scratch")
    cause = diagnose(OSError(f"{said}\n... Connection refused"))
    assert f"{folder} is full. Make room there" in cause.text
    assert (cause.kind, cause.may_pass) == (Kind.NO_SPACE, False)


def unreadable(uri: str, cause: str) -> PySparkException:
    return PySparkException(
        f"[FAILED_READ_FILE.NO_HINT] Encountered error while reading file {uri}. SQLSTATE: KD001\n"
        f"Caused by: java.io.IOException: {cause}\n"
    )


def as_table(uri: str, fault: str) -> str | None:
    return f"{uri} {fault}. Materialize x again." if "/x/" in uri else None


@pytest.mark.parametrize(
    ("uri", "cause", "text", "may_pass"),
    [
        (
            "file:///data/x/part%20-0",
            "bad footer",
            "file:///data/x/part -0 cannot be read (bad footer). Materialize x again.",
            False,
        ),
        ("file:///data/x/part-0", "x (Permission denied)", "/data/x/part-0: permission denied.", False),
        ("file:///elsewhere/part-0", "bad footer", "IOException: bad footer", True),
        ("hdfs://name/x/part-0", "Connection refused", "The storage does not answer", True),
        ("hdfs://name/x/part-0", "bad footer", "hdfs://name/x/part-0 cannot be read (bad footer).", False),
    ],
)
def test_a_file_of_a_table_that_cannot_be_read(uri: str, cause: str, text: str, may_pass: bool) -> None:
    found = diagnose(unreadable(uri, cause), damaged_file=as_table)
    assert found.text.startswith(text)
    assert found.may_pass is may_pass


def test_a_file_of_a_source_that_cannot_be_read() -> None:
    found = diagnose(unreadable("file:///in/a%20b.jpg", "gone"), source="/in", damaged_file=as_table)
    assert found.text.startswith("cannot read 'file:///in/a b.jpg', which was listed before.")
    assert found.kind is Kind.DAMAGE


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("java.io.EOFException", Kind.DAMAGE),
        ("java.lang.OutOfMemoryError: Requested array size exceeds VM limit", Kind.DAMAGE),
        ("java.io.EOFException: End of File Exception between local host is: x", Kind.KNOWN),
        ("java.lang.OutOfMemoryError: Java heap space", Kind.KNOWN),
    ],
)
def test_a_damaged_sequence_file_is_only_looked_for_in_a_source(said: str, kind: Kind) -> None:
    assert diagnose(PySparkException(said), source="x").kind is kind
    assert diagnose(PySparkException(said)).kind is not Kind.DAMAGE
    assert diagnose(RuntimeError(said), source="x").kind is not Kind.DAMAGE


def test_a_diagnosis_needs_no_spark() -> None:
    code = """
import sys
from vision_assets.spark.diagnosis import diagnose
print(diagnose(ConnectionResetError("[Errno 104] Connection reset by peer")).text)
print({"pyspark", "py4j", "numpy"} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "The storage does not answer (ConnectionResetError: [Errno 104] Connection reset by peer). Is it up?",
        "set()",
    ]
