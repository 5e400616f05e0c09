"""Which file of the data folder is damaged, or which folder is full, in what Spark says of it."""

import os
import re
import tempfile
from urllib.parse import unquote

from pyspark.sql import SparkSession

from vision_assets.errors import UserError, no_permission
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.spark.diagnosis import known_diagnosis
from vision_assets.tables.table import TABLES
from vision_assets.uris import local_path, readable

_READING = re.compile(
    r"FAILED_READ_FILE[^\n]*?(?P<uri>[a-z][a-z0-9+.-]*:/[^\n]*?/(?P<asset>[^/\n]+)/\d{8}T\d{6}-[^/\n]+/\S+?)\.?\s"
)
_CAUSE = re.compile(r"^Caused by: (?:[\w.$]+: )?(.+)", re.MULTILINE)
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_FILE_WITHOUT_ROOM = re.compile(
    rf"(?:{_NO_ROOM.pattern}): '([^'\n]+)'|(/\S+) \((?:{_NO_ROOM.pattern})\)|writing rows to (\S+?)\.?\s"
)
_IN_TEMPORARY_FOLDER = re.compile(
    r"\bat org\.apache\.spark\.(?:storage|shuffle|util\.collection)\.|/blockmgr-"
)


def storage_fault(error: Exception) -> UserError | None:
    """Find the damaged file, or the full folder, that has made a Spark job or a file operation fail.

    Parameters
    ----------
    error : Exception
        As the driver sees it.

    Returns
    -------
    UserError or None
        None if the cause is another.
    """
    if isinstance(error, PermissionError):
        return no_permission(error.filename)
    text = f"{error}\n{getattr(error, '_stackTrace', None) or ''}\n"
    if found := _NO_ROOM.search(text):
        return UserError(f"{found[0]}: {_full_folder(text)} is full. Make room there, then run again.")
    found = _READING.search(text)
    # A storage elsewhere may be away, or refuse: that is no damage.
    if found and (local_path(found["uri"]) or not known_diagnosis(error)):
        return _unreadable(unquote(found["uri"]), found["asset"], text)
    return None


def _full_folder(text: str) -> str:
    session = SparkSession.getActiveSession()
    configured = session.conf.get("spark.local.dir", None) if session else None
    temporary = os.environ.get("SPARK_LOCAL_DIRS") or configured or tempfile.gettempdir()
    if _IN_TEMPORARY_FOLDER.search(text):
        return f"Spark's temporary folder {temporary}"
    if found := _FILE_WITHOUT_ROOM.search(text):
        return f"the disk of {readable(found[1] or found[2] or found[3])}"
    return f"the data folder or Spark's temporary folder {temporary}"


def _unreadable(uri: str, asset: str, text: str) -> UserError:
    file = readable(uri)
    cause = (_CAUSE.findall(text) or ["it is damaged"])[-1]
    if "Permission denied" in cause:
        return no_permission(file)
    table = TABLES.get((asset,))
    row_wise = table is not None and table.key == "fileName"
    return damaged_file(file, f"cannot be read ({cause.replace(uri, 'it')})", row_wise)
