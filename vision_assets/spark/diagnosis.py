"""What has gone wrong, in plain words, found in what Spark, Hadoop and Python say about it."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors import AnalysisException

from vision_assets.spark import jvm


@dataclass(frozen=True)
class Diagnosis:
    """Why something failed.

    Attributes
    ----------
    text : str
        The cause, and what to do if anything can be done, in one line.
    may_pass : bool
        Whether trying again can help.
    """

    text: str
    may_pass: bool = True


@dataclass(frozen=True)
class _Rule:
    sign: str
    text: str
    """`{cause}` stands for what was said last, `{found}` for what the sign's group has found."""
    may_pass: bool = True


_OUT_OF_MEMORY = (
    "Spark's JVM has run out of memory ({cause}). Raise spark.driver.memory, on a cluster "
    "spark.executor.memory: under `resources: pyspark` in the run's configuration or in spark-defaults.conf."
)
_RULES = (
    _Rule(
        r"No space left on device",
        "No space left on device: the data folder or Spark's temporary folder is full. Make room, then run "
        "again.",
        may_pass=False,
    ),
    _Rule(r"OutOfMemoryError", _OUT_OF_MEMORY),
    _Rule(
        r"Python worker exited unexpectedly",
        "A Python worker of Spark has died, most likely killed for lack of memory (dmesg tells). Set "
        "`max_side` of the features, or let fewer run side by side (local[2] as the Spark master).",
    ),
    _Rule(
        r"ExecutorLostFailure.*Reason: (.*)",
        "Spark has lost an executor, again and again: {found}. One that was killed for lack of memory (code "
        "137) needs more spark.executor.memoryOverhead.",
    ),
    _Rule(
        r'No FileSystem for scheme "(s3n?|swift|tachyon)"',
        "Spark has no client for {found}:// any more. Write s3a:// for S3 and Swift, alluxio:// for Tachyon.",
        may_pass=False,
    ),
    _Rule(
        r"(Class \S*FileSystem not found|No FileSystem for scheme \S+)",
        "Spark cannot reach such a URI: {found}. Name its scheme in VISION_ASSETS_CONNECTORS (s3a, "
        "alluxio), or its library in spark.jars.packages in spark-defaults.conf.",
        may_pass=False,
    ),
    _Rule(
        r"NoSuchBucket|UnknownStoreException",
        "There is no such bucket ({cause}). Make it, or mend the URI.",
        may_pass=False,
    ),
    _Rule(
        r"AccessControlException|AccessDenied|Access Denied|Permission denied|Forbidden|NoAuthWithAWS|"
        r"Unable to load credentials|NoAwsCredentials|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|"
        r"Unauthorized|Unauthenticated|AuthenticationException",
        "Access is denied ({cause}). Allow this user to, or mend the credentials.",
        may_pass=False,
    ),
    _Rule(
        r"IllegalStateException: Cannot call methods on a stopped SparkContext",
        "Spark has ended at its start or since; on a cluster, because its master does not answer (the lines "
        "above tell why). Is VISION_ASSETS_SPARK_MASTER right, and the cluster up?",
    ),
    _Rule(
        # The last cause, or the destination where Hadoop names this machine, too.
        r'UnknownHostException[^\n]*destination host is: "([^"]+)"|'
        r"(?:[\s\S]*Caused by: java\.net\.)?UnknownHostException:? ([^\s:]+)",
        "The host {found} is unknown. Is the URI right, or for S3 the endpoint?",
    ),
    _Rule(
        r"JAVA_GATEWAY_EXITED",
        "Spark's JVM does not start; the lines above tell why. Java 17 or newer is needed, in JAVA_HOME or "
        "on the path.",
        may_pass=False,
    ),
    _Rule(
        r"Call From \S+ to (\S+) failed on \w+ exception|Failed to connect to (?:master \()?(\S+?)\)?\s|"
        r"Connect to (\S+) .*Connection refused",
        "Nothing answers at {found}. Is the URI right, and the storage up?",
    ),
    _Rule(
        r"SafeModeException",
        "The name node of HDFS is in safe mode: it has just started, or lacks blocks of files.",
    ),
    _Rule(
        r"Connection refused|Connection reset|Connection closed|End of File Exception between|"
        r"NoHttpResponseException|Status Code: 50[0-4]|"
        r"UnavailableException",
        "The storage does not answer ({cause}). Is it up?",
    ),
    _Rule(
        r"SocketTimeoutException|ConnectTimeoutException|TimeoutException|[Tt]imed out",
        "There was no answer in time ({cause}).",
    ),
)


def diagnose(error: Exception) -> Diagnosis:
    """Find the cause of an error.

    Parameters
    ----------
    error : Exception
        Whatever Python, Spark or py4j has raised.

    Returns
    -------
    Diagnosis
    """
    if _jvm_is_gone(error):
        return Diagnosis(_last_words(jvm.exit_status()))
    if known := known_diagnosis(error):
        return known
    cause = _deepest(error, "\n".join(_texts(error)))
    return Diagnosis(cause, may_pass=not isinstance(error, AnalysisException))


def known_diagnosis(error: Exception) -> Diagnosis | None:
    """Find the cause of an error among those that are known; None if it is another."""
    text = "\n".join(_texts(error))
    for rule in _RULES:
        if found := re.search(rule.sign, text):
            named = next(filter(None, found.groups()), "").rstrip(".,;:")
            return Diagnosis(rule.text.format(cause=_deepest(error, text), found=named), rule.may_pass)
    return None


def is_missing_file(error: Exception) -> bool:
    """Tell whether Hadoop has raised an error because there is no such file or folder."""
    return (
        isinstance(error, Py4JJavaError)
        and error.java_exception.getClass().getName() == "java.io.FileNotFoundException"
    )


def _jvm_is_gone(error: BaseException | None) -> bool:
    if error is None or isinstance(error, Py4JJavaError):  # the latter is what it said while it was there
        return False
    if isinstance(error, FileNotFoundError):  # a JVM that ends removes its temporary folder first
        return bool(re.search(r"/spark-[-0-9a-f]+/", str(error.filename))) and jvm.exit_status() is not None
    if isinstance(error, (Py4JNetworkError, ConnectionError)):
        return True
    return _jvm_is_gone(error.__cause__ or error.__context__)


def _last_words(status: int | None) -> str:
    if status == jvm.OUT_OF_MEMORY:
        return _OUT_OF_MEMORY.format(cause="it has ended itself")
    ended = "" if status is None else f" (exit status {status})"
    if status is not None and status < 0:
        ended = f" (killed by {signal.Signals(-status).name})"
    return (
        f"Spark's JVM has died{ended}. If the system has killed it for lack of memory (dmesg or the run's "
        "stderr tells), lower spark.driver.memory or free some of the machine's."
    )


def _texts(error: BaseException) -> Iterator[str]:
    """Yield what an error says, with the part of Spark's exceptions that their text leaves out."""
    yield str(error)
    if isinstance(stack := getattr(error, "_stackTrace", None), str):
        yield stack


def _deepest(error: Exception, text: str) -> str:
    """Return the message of the first cause, in one line, without the packages of its class."""
    worker = re.findall(r'^ *File ".*(?:\n +.*)*\n(\S.*)', text, re.MULTILINE)
    if "Traceback (most recent call last)" in text and worker:
        return worker[-1].strip()
    if causes := re.findall(r"^Caused by: (.+)", text, re.MULTILINE):
        return _without_package(causes[-1])
    if task := re.search(r"most recent failure: .*?\(TID \d+\) \(.*?\): (.+)", text):
        return _without_package(task[1])
    if isinstance(error, Py4JJavaError) and (java := re.search(r"^: (.+)", text, re.MULTILINE)):
        return _without_package(java[1])
    first = next(filter(None, map(str.strip, str(error).splitlines())), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _without_package(message: str) -> str:
    return re.sub(r"^(?:[a-z_]\w*\.)+(?=[A-Z]\w*)", "", message.strip())
