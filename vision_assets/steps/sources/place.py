"""Looks at where a source is, just enough to recognize what kind of source it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark.hadoop import hadoop_path, list_status, read_head
from vision_assets.spark.sequence_file import HEADER_BYTES
from vision_assets.steps.sources.image_files import Patterns


@dataclass(frozen=True)
class Place:
    """A file or folder that a user named as the source.

    Parameters
    ----------
    spark : SparkSession
    source : str
        As the user gave it, for messages.
    patterns : Patterns
        Which images are chosen.
    uri : str
        For Hadoop.
    path : str, optional
        Local path; None if only Hadoop can read it.
    is_folder : bool
    parts : sequence of str
        The file itself; of a folder the files in it whose names begin with ``part-``.
    head : bytes
        At most the first 512 bytes of the first part; empty without parts.
    size : int
        Bytes of a file behind Hadoop; else 0.
    by_driver : bool
        Whether the driver reads a local source, because the workers do not have it.
    """

    spark: SparkSession
    source: str
    patterns: Patterns
    uri: str
    path: str | None
    is_folder: bool
    parts: Sequence[str]
    head: bytes
    size: int = 0
    by_driver: bool = False


def is_local_master(spark: SparkSession) -> bool:
    """Tell whether Spark's workers are on this machine."""
    return str(spark.sparkContext.master).startswith("local")


def local_place(spark: SparkSession, source: str, path: str, patterns: Patterns, *, by_driver: bool) -> Place:
    """Look at a local source.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        is_folder = Path(path).is_dir()
        parts = [path]
        if is_folder:
            parts = sorted(str(part) for part in Path(path).glob("part-*") if part.is_file())
        head = _local_head(parts[0]) if parts else b""
    except OSError as error:
        raise UserError(
            f"cannot read {source!r}: {error.strerror}.\nGrant read access, or move it elsewhere."
        ) from error
    uri = f"file://{path}"
    return Place(spark, source, patterns, uri, path, is_folder, parts, head, by_driver=by_driver)


def hadoop_place(spark: SparkSession, source: str, patterns: Patterns) -> Place:
    """Look at a source through Hadoop's file system.

    Raises
    ------
    UserError
        If it does not exist.
    """
    files, path = hadoop_path(spark, source)
    if not files.exists(path):
        raise UserError(f"source {source!r} does not exist.\nIs the path right?")
    status = files.getFileStatus(path)
    is_folder, parts = status.isDirectory(), [source]
    if is_folder:
        parts = [found.path for found in list_status(spark, source) if not found.is_folder]
        parts = [part for part in parts if part.rpartition("/")[2].startswith("part-")]
    head = read_head(*hadoop_path(spark, parts[0]), HEADER_BYTES) if parts else b""
    return Place(spark, source, patterns, source, None, is_folder, parts, head, status.getLen())


def _local_head(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - as in the other sources
        return file.read(HEADER_BYTES)
