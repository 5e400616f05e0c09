"""Where a path or URI is: on this machine or on a storage that Hadoop's client reaches.

Data folders, sources and the files in Spark's error messages all ask this module: the same text means the
same place everywhere.
"""

import os
import re
from pathlib import Path

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_FILE_URI = re.compile(r"file:(?://[^/]*)?(/.*)", re.DOTALL | re.IGNORECASE)


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI in lower case.

    Parameters
    ----------
    uri : str

    Returns
    -------
    str
        Empty for a path.

    Examples
    --------
    >>> scheme_of("S3A://bucket/images"), scheme_of("hdfs:/data"), scheme_of("data/images")
    ('s3a', 'hdfs', '')
    """
    found = _SCHEME.match(uri)
    return found[1].lower() if found else ""


def is_uri(text: str) -> bool:
    """Tell whether a text is a URI with a scheme; anything else is a path."""
    return bool(scheme_of(text))


def local_path(uri: str) -> Path | None:
    """Return the absolute path on this machine that a path or ``file:`` URI names.

    Hadoop's rules apply to ``file:`` URIs: the host has no meaning, and percent signs are not decoded.

    Parameters
    ----------
    uri : str
        A path, which may be relative or begin with ``~``, or a URI.

    Returns
    -------
    Path or None
        None for URIs of other schemes.

    Examples
    --------
    >>> local_path("file://host/data"), local_path("FILE:/data"), local_path("hdfs://host/data")
    (PosixPath('/data'), PosixPath('/data'), None)
    """
    if found := _FILE_URI.fullmatch(uri):
        return Path("/" + found[1].lstrip("/"))
    if is_uri(uri):
        return None
    return Path(os.path.expanduser(uri)).absolute()  # noqa: PTH111 - Path's own fails for an unknown user


def hadoop_uri(uri: str) -> str:
    """Return a path as a ``file:`` URI, so that it stays local whatever Hadoop's default file system is.

    Parameters
    ----------
    uri : str

    Returns
    -------
    str
        URIs of other schemes are returned unchanged.

    Examples
    --------
    >>> hadoop_uri("/data"), hadoop_uri("file://host/data"), hadoop_uri("s3a://bucket/data")
    ('file:///data', 'file:///data', 's3a://bucket/data')
    """
    path = local_path(uri)
    return uri if path is None else f"file://{path}"


def readable(uri: str) -> str:
    """Return a local file's path as messages show it; other URIs are returned unchanged."""
    path = local_path(uri)
    return uri if path is None else str(path)
