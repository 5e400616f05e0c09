"""What went wrong, in plain words: the only place that reads what Spark, Hadoop and the system say of errors.

`diagnose` asks these questions in this order; the first answer counts.

1. Is it a `UserError`, raised here or by a Spark worker? Its own text says everything.
2. May this user not use a local file? A `PermissionError` names it.
3. Is a disk full? Whatever else failed, failed because of that.
4. Is Spark's JVM gone? Then nothing else was said.
5. Is a source damaged? Only asked with `source`: Hadoop's reader says that a SequenceFile ends too early.
6. Could Spark not read one file? It is the source's, or a file of a stored table. If it is behind Hadoop,
   question 7 comes first: a storage that is away or refuses damages no file.
7. Does one of `_RULES` know the text? Storage, network, credentials, memory, executors, the start of Java.
   They are asked from top to bottom, the specific ones first.
8. Otherwise the deepest cause in the text stands for itself.

Nothing of Spark is imported before an error comes from Spark, so that the console command can ask, too.
"""

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote

from vision_assets.errors import UserError
from vision_assets.uris import local_path, readable

DamagedFile = Callable[[str, str], str | None]
"""Takes the path or URI of a file and what is wrong with it; returns the message if it belongs to a table."""


class Kind(Enum):
    """Which question of this module's docstring found the answer."""

    USER_ERROR = "raised by this project, in words for the user"
    PERMISSION = "a local file that this user may not use"
    NO_SPACE = "a disk is full"
    JVM_DIED = "Spark's JVM died"
    DAMAGE = "a file is damaged, gone or unreadable"
    KNOWN = "one of the rules"
    UNKNOWN = "the deepest cause"


@dataclass(frozen=True)
class Diagnosis:
    """Why something failed.

    Parameters
    ----------
    text : str
        The cause, and what to do if anything can be done. One line, unless it is the text of a `UserError`.
    may_pass : bool
        Whether trying again can help.
    kind : Kind
    """

    text: str
    may_pass: bool = True
    kind: Kind = Kind.UNKNOWN

    @property
    def is_known(self) -> bool:
        """Whether the text explains the error, and does not only repeat it."""
        return self.kind is not Kind.UNKNOWN

    @property
    def says_all(self) -> bool:
        """Whether the text names what to change, so that a stack adds nothing."""
        return self.kind in (Kind.USER_ERROR, Kind.PERMISSION, Kind.NO_SPACE, Kind.DAMAGE)


@dataclass(frozen=True)
class _Rule:
    """A known text.

    Parameters
    ----------
    sign : str
        Regular expression.
    text : str
        `{cause}` stands for the deepest cause, `{found}` for the group of `sign` that matched.
    may_pass : bool
        Whether trying again can help.
    """

    sign: str
    text: str
    may_pass: bool = True


_OUT_OF_MEMORY = (
    "Spark's JVM ran out of memory ({cause}). Raise spark.driver.memory, on a cluster "
    "spark.executor.memory: under `resources: pyspark` in the run's configuration or in spark-defaults.conf."
)
_RULES = (
    _Rule(r"OutOfMemoryError", _OUT_OF_MEMORY),
    _Rule(
        r"Python worker exited unexpectedly",
        "A Python worker of Spark died, most likely killed for lack of memory (dmesg tells). Set "
        "`max_side` of the features, or run fewer workers at once (local[2] as the Spark master).",
    ),
    _Rule(
        r"ExecutorLostFailure.*Reason: (.*)",
        "Spark lost an executor several times: {found}. If it was killed for lack of memory (code 137), "
        "raise spark.executor.memoryOverhead.",
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
        "The bucket does not exist ({cause}). Create it, or correct the URI.",
        may_pass=False,
    ),
    _Rule(
        r"AccessControlException|AccessDenied|Access Denied|Permission denied|Forbidden|NoAuthWithAWS|"
        r"Unable to load credentials|NoAwsCredentials|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|"
        r"Unauthorized|Unauthenticated|AuthenticationException",
        "Access is denied ({cause}). Grant this user access, or correct the credentials.",
        may_pass=False,
    ),
    _Rule(
        r"IllegalStateException: Cannot call methods on a stopped SparkContext",
        "Spark stopped, at its start or later; on a cluster, because its master does not answer (the lines "
        "above tell why). Is VISION_ASSETS_SPARK_MASTER right, and is the cluster up?",
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
        "Nothing answers at {found}. Is the URI right, and is the storage up?",
    ),
    _Rule(
        r"SafeModeException",
        "The name node of HDFS is in safe mode: it has just started, or blocks of files are missing.",
    ),
    _Rule(
        r"Connection refused|Connection reset|Connection closed|End of File Exception between|"
        r"NoHttpResponseException|Status Code: 50[0-4]|"
        r"UnavailableException",
        "The storage does not answer ({cause}). Is it up?",
    ),
    _Rule(
        r"SocketTimeoutException|ConnectTimeoutException|TimeoutException|[Tt]imed out",
        "No answer came in time ({cause}).",
    ),
)

_WORKERS_USER_ERROR = re.compile(
    rf"^{re.escape(UserError.__module__)}\.{UserError.__name__}: (.+)$", re.MULTILINE
)

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_FILE_WITHOUT_SPACE = re.compile(
    rf"(?:{_NO_SPACE.pattern}): '([^'\n]+)'|(/\S+) \((?:{_NO_SPACE.pattern})\)|writing rows to (\S+?)\.?\s"
)
_IN_TEMPORARY_FOLDER = re.compile(
    r"\bat org\.apache\.spark\.(?:storage|shuffle|util\.collection)\.|/blockmgr-"
)

_UNREADABLE_FILE = re.compile(r"Encountered error while reading file (.+?)\.(?:\s|$)")
_MISSING_PATH = re.compile(r"\[PATH_NOT_FOUND\] Path does not exist: (.+?)\. SQLSTATE", re.DOTALL)
_DAMAGED_SEQUENCE_FILE = re.compile(
    r"java\.io\.EOFException(?!: End of File Exception between)|"  # this one is a broken connection
    r"File is corrupt|not a SequenceFile|ChecksumException|is not class|bytes, should read|"
    r"java\.lang\.IndexOutOfBoundsException: Range \[0, 0 \+ -|"
    r"java\.lang\.OutOfMemoryError: Requested array size exceeds VM limit"
)
_CAUSE = re.compile(r"^Caused by: (?:[\w.$]+: )?(.+)", re.MULTILINE)


def diagnose(
    error: Exception, *, source: str | None = None, damaged_file: DamagedFile | None = None
) -> Diagnosis:
    """Find the cause of an error; the module's docstring states the order.

    Parameters
    ----------
    error : Exception
        Whatever Python, Spark or py4j raised.
    source : str, optional
        The source that was being read, as the user gave it.
    damaged_file : callable, optional
        Names the asset that a damaged file belongs to, and what to do about it. This package does not know
        how tables are stored.

    Returns
    -------
    Diagnosis
    """
    text = "".join(f"{said}\n" for said in _texts(error))
    return (
        _user_error(error, text)
        or _no_permission(error)
        or _no_space(text)
        or _dead_jvm(error)
        or _damaged_source(error, text, source)
        or _unreadable_file(error, text, source, damaged_file)
        or _known_text(error, text)
        or Diagnosis(_deepest(error, text), may_pass=not _is_a(error, "AnalysisException"))
    )


def is_missing_file(error: Exception) -> bool:
    """Tell whether Hadoop raised an error because a file or folder does not exist."""
    if not _is_a(error, "Py4JJavaError"):
        return False
    java: Any = error
    return bool(java.java_exception.getClass().getName() == "java.io.FileNotFoundException")


def no_permission(file: str) -> str:
    """Return the message about a file or folder that this user may not use."""
    return f"{file}: permission denied. Allow this user to read and write there, then run again."


def damaged_sequence_file(source: str) -> str:
    """Return the message about a SequenceFile that cannot be read to its end."""
    return (
        f"the SequenceFile {source!r} is damaged or ends in the middle of a record.\n"
        "Copy or create it again, then retry."
    )


def _user_error(error: Exception, text: str) -> Diagnosis | None:
    if isinstance(error, UserError):
        return Diagnosis(str(error), may_pass=False, kind=Kind.USER_ERROR)
    if found := _WORKERS_USER_ERROR.search(text):
        return Diagnosis(found[1], may_pass=False, kind=Kind.USER_ERROR)
    return None


def _no_permission(error: Exception) -> Diagnosis | None:
    if isinstance(error, PermissionError) and error.filename is not None:
        file = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        return Diagnosis(no_permission(file), may_pass=False, kind=Kind.PERMISSION)
    return None


def _no_space(text: str) -> Diagnosis | None:
    if found := _NO_SPACE.search(text):
        full = f"{found[0]}: {_full_folder(text)} is full. Make room there, then run again."
        return Diagnosis(full, may_pass=False, kind=Kind.NO_SPACE)
    return None


def _full_folder(text: str) -> str:
    temporary = os.environ.get("SPARK_LOCAL_DIRS") or _configured_local_dir() or tempfile.gettempdir()
    if _IN_TEMPORARY_FOLDER.search(text):
        return f"Spark's temporary folder {temporary}"
    if found := _FILE_WITHOUT_SPACE.search(text):
        return f"the disk of {readable(found[1] or found[2] or found[3])}"
    return f"the data folder or Spark's temporary folder {temporary}"


def _configured_local_dir() -> str | None:
    if "pyspark.sql" not in sys.modules:
        return None
    from pyspark.sql import SparkSession  # noqa: PLC0415 - Spark is there already

    session = SparkSession.getActiveSession()
    return session.conf.get("spark.local.dir", None) if session else None


def _dead_jvm(error: Exception) -> Diagnosis | None:
    if "pyspark" not in sys.modules:
        return None
    from vision_assets.spark import jvm  # noqa: PLC0415 - Spark is there already

    if not _is_sign_of_a_dead_jvm(error, jvm.exit_status):
        return None
    status = jvm.exit_status()
    if status == jvm.OUT_OF_MEMORY:
        return Diagnosis(_OUT_OF_MEMORY.format(cause="it ended itself"), kind=Kind.JVM_DIED)
    ended = "" if status is None else f" (exit status {status})"
    if status is not None and status < 0:
        ended = f" (killed by {signal.Signals(-status).name})"
    return Diagnosis(
        f"Spark's JVM died{ended}. If the system killed it for lack of memory (dmesg or the run's stderr "
        "tells), lower spark.driver.memory or free memory on the machine.",
        kind=Kind.JVM_DIED,
    )


def _is_sign_of_a_dead_jvm(error: BaseException | None, exit_status: Callable[[], int | None]) -> bool:
    if error is None or _is_a(error, "Py4JJavaError"):  # the latter is an answer of a JVM that was alive
        return False
    if isinstance(error, FileNotFoundError):  # a JVM that ends removes its temporary folder first
        return bool(re.search(r"/spark-[-0-9a-f]+/", str(error.filename))) and exit_status() is not None
    if isinstance(error, ConnectionError) or _is_a(error, "Py4JNetworkError"):
        return True
    return _is_sign_of_a_dead_jvm(error.__cause__ or error.__context__, exit_status)


def _damaged_source(error: Exception, text: str, source: str | None) -> Diagnosis | None:
    if source is not None and _is_from_spark(error) and _DAMAGED_SEQUENCE_FILE.search(text):
        return Diagnosis(damaged_sequence_file(source), may_pass=False, kind=Kind.DAMAGE)
    return None


def _unreadable_file(
    error: Exception, text: str, source: str | None, damaged_file: DamagedFile | None
) -> Diagnosis | None:
    if not _is_from_spark(error):
        return None
    if found := _UNREADABLE_FILE.search(text):
        uri = unquote(found[1])  # Spark shows it percent-encoded
        cause = (_CAUSE.findall(text) or ["it is damaged"])[-1].replace(uri, "it")
    elif found := _MISSING_PATH.search(text):
        uri, cause = re.sub(r"\\(.)", r"\1", found[1]), "it does not exist"  # Spark shows it escaped
    else:
        return None
    if local_path(uri) is None and (known := _known_text(error, text)):
        return known
    message: str | None
    if source is not None:
        message = f"cannot read {uri!r}, which was listed before.\nDoes it still exist, and is it readable?"
    else:
        message = damaged_file and damaged_file(uri, f"cannot be read ({cause})")
        if message and "Permission denied" in cause:
            message = no_permission(readable(uri))
    return Diagnosis(message, may_pass=False, kind=Kind.DAMAGE) if message else None


def _known_text(error: Exception, text: str) -> Diagnosis | None:
    for rule in _RULES:
        if found := re.search(rule.sign, text):
            named = next(filter(None, found.groups()), "").rstrip(".,;:")
            cause = _deepest(error, text)
            return Diagnosis(rule.text.format(cause=cause, found=named), rule.may_pass, Kind.KNOWN)
    return None


def _is_from_spark(error: BaseException) -> bool:
    return _is_a(error, "Py4JJavaError") or _is_a(error, "PySparkException")


def _is_a(error: BaseException, name: str) -> bool:
    """Tell whether an error is of a class of py4j's or PySpark's, without an import of these."""
    return any(
        base.__name__ == name and base.__module__.partition(".")[0] in ("py4j", "pyspark")
        for base in type(error).__mro__
    )


def _texts(error: BaseException) -> Iterator[str]:
    """Yield what an error says, with the part of Spark's exceptions that their text leaves out."""
    yield str(error)
    if isinstance(stack := getattr(error, "_stackTrace", None), str):
        yield stack


def _deepest(error: Exception, text: str) -> str:
    """Return the message of the deepest cause, in one line, without the packages of its class."""
    worker = re.findall(r'^ *File ".*(?:\n +.*)*\n(\S.*)', text, re.MULTILINE)
    if "Traceback (most recent call last)" in text and worker:
        return worker[-1].strip()
    if causes := re.findall(r"^Caused by: (.+)", text, re.MULTILINE):
        return _without_package(causes[-1])
    if task := re.search(r"most recent failure: .*?\(TID \d+\) \(.*?\): (.+)", text):
        return _without_package(task[1])
    if _is_a(error, "Py4JJavaError") and (java := re.search(r"^: (.+)", text, re.MULTILINE)):
        return _without_package(java[1])
    first = next(filter(None, map(str.strip, str(error).splitlines())), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _without_package(message: str) -> str:
    return re.sub(r"^(?:[a-z_]\w*\.)+(?=[A-Z]\w*)", "", message.strip())
