"""Fingerprints of sources, which tell whether a source has changed without reading its files."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_assets.errors import UserError
from vision_assets.spark import jvm
from vision_assets.spark.hadoop import describe
from vision_assets.steps.sources import local_path
from vision_assets.steps.sources.folder import walk
from vision_assets.steps.sources.image_files import Skipped

_ACCESS_TIME = re.compile(r"; access_time=\d+")  # changes when somebody reads


@dataclass(frozen=True)
class Look:
    """State of a source at one moment.

    Attributes
    ----------
    files : int
        Number of files; 1 if the source is itself a file.
    fingerprint : str
        Hash of the source and of name, size and time of change of each file.
    """

    files: int
    fingerprint: str


def look_at(source: str) -> Look:
    """Look at all files of a source: those below a folder, or the archive itself.

    No Spark session is needed. For a Hadoop URI a bare JVM is started and kept for the next time.

    Parameters
    ----------
    source : str
        As for `vision_assets.steps.sources.open_source`.

    Returns
    -------
    Look

    Raises
    ------
    UserError
        If the source is missing, or one of its folders cannot be listed.
    """
    path = local_path(source, lambda: jvm.hadoop()[1])
    files = _hadoop_files(source) if path is None else _local_files(path)
    digest, count = hashlib.sha256(os.fsencode(source)), 0
    for file in files:
        digest.update(b"\0\0" + file)
        count += 1
    return Look(count, digest.hexdigest()[:32])


def _local_files(path: str) -> Iterator[bytes]:
    if not Path(path).is_dir():
        yield _identity(b"", Path(path).stat())
        return
    for name, entry in walk(os.fsencode(path), Skipped()):
        try:
            yield _identity(name, entry.stat())
        except OSError:  # a dangling link, or a file that was just removed
            yield name


def _identity(name: bytes, status: os.stat_result) -> bytes:
    return b"%b\0%d\0%d\0%d\0%d" % (
        name,
        status.st_size,
        status.st_mtime_ns,
        status.st_dev,
        status.st_ino,
    )


def _hadoop_files(source: str) -> Iterator[bytes]:
    gateway, configuration = jvm.hadoop()
    hadoop: Any = gateway.jvm.org.apache.hadoop
    path = hadoop.fs.Path(source)
    files = path.getFileSystem(configuration)
    if not files.exists(path):
        raise UserError(f"source {source!r} does not exist. Is the path right?")
    folders = [path]
    while folders:
        # All folders of one depth at once, because a call of the JVM takes longer than a listing.
        level = gateway.new_array(hadoop.fs.Path, len(folders))
        for index, folder in enumerate(folders):
            level[index] = folder
        folders = []
        for status, text in describe(gateway, files.listStatus(level)):
            if status.is_folder:
                folders.append(hadoop.fs.Path(status.path))
            else:  # the text has what HDFS or an object store knows the content by
                yield _ACCESS_TIME.sub("", text).encode("utf-8", "surrogatepass")
