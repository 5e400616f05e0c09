"""Where images come from: a folder, a tar, a zip or a SequenceFile, on local disks or Hadoop storage."""

import os
import re
import shutil
import tarfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

from py4j.protocol import Py4JJavaError
from pyspark import RDD, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.hadoop import copy_to_local, hadoop_path, list_status, read_head
from vision_assets.steps.sources.folder import FolderSplit, folder_key, list_folder
from vision_assets.steps.sources.hadoop import open_folder
from vision_assets.steps.sources.hadoop_tar import can_read, open_tar_blocks
from vision_assets.steps.sources.image_files import (
    ImageFiles,
    Pair,
    Patterns,
    Skipped,
    no_images,
    stamp,
)
from vision_assets.steps.sources.listing import Listing, archive_stamps, listed
from vision_assets.steps.sources.tar import BLOCK, TarSplit, list_tar, open_tar
from vision_assets.steps.sources.zip import ZipSplit, list_zip
from vision_assets.vision.io.formats import DEFAULT_PATTERNS

__all__ = ["ImageFiles", "Reader", "Skipped", "open_source"]

Reader = Literal["auto", "workers", "driver"]
Kind = Literal["sequence file", "zip", "gzip", "tar"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_FILE_URI = re.compile(r"file:(?://[^/]*)?(/.*)", re.DOTALL | re.IGNORECASE)


class Split(Protocol):
    """What one task reads."""

    def read(self) -> Iterator[Pair]:
        """Yield key and bytes of each image."""


def open_source(
    spark: SparkSession, source: str, patterns: Sequence[str] = DEFAULT_PATTERNS, *, reader: Reader = "auto"
) -> ImageFiles:
    """Choose the images of a source. Their bytes are read later, by `sequence_file.write`.

    Keys are paths relative to the source, with '/'; inside an archive with a single top folder relative to
    that folder. A SequenceFile's own keys stay as they are.

    Parameters
    ----------
    spark : SparkSession
        The session.
    source : str
        A folder, a tar, tar.gz or zip, a SequenceFile or a folder of its part files, as a local path or a
        Hadoop URI. What it is shows its content, not its name.
    patterns : sequence of str
        Glob patterns for the file name, without regard to case.
    reader : {"auto", "workers", "driver"}
        Who reads a local source. "workers" need to have it at the same path; "driver" uploads it from this
        machine alone; "auto" takes the driver when Spark's workers are on other machines. Through Hadoop
        the workers always read, except tar.gz and zip, which are copied to this machine first.

    Returns
    -------
    ImageFiles
        What was chosen and what skipped. Use it in a `with` block, to have a copied archive removed.

    Raises
    ------
    UserError
        When the source is missing, unreadable, damaged or of an unknown kind, or holds no image.
    """
    chosen = Patterns(patterns)
    path = local_path(source, spark.sparkContext._jsc.hadoopConfiguration)
    if path is not None:
        by_driver = reader == "driver" or (reader == "auto" and not _is_local_master(spark))
        images = _open_local(spark, source, path, chosen, by_driver=by_driver)
    else:
        images = open_hadoop(spark, source, chosen)
    if images.count == 0:
        images.close()
        raise no_images(source, chosen, images.skipped)
    return images


def open_hadoop(spark: SparkSession, source: str, patterns: Patterns) -> ImageFiles:
    """Open a source through Hadoop's file system; see `open_source`."""
    try:
        return _open_hadoop(spark, source, patterns)
    except (Py4JJavaError, PySparkException) as error:
        diagnosis = diagnose(error)
        if diagnosis.is_known and diagnosis.may_pass:
            raise
        advice = "" if diagnosis.is_known else ".\nIs the URI right, and is Spark set up for it?"
        raise UserError(f"cannot read {source!r}: {diagnosis.text}{advice}") from error


def local_path(source: str, hadoop: Callable[[], Any]) -> str | None:
    """Return the path of a source on this machine; None when it is for Hadoop.

    Parameters
    ----------
    source : str
        As the user gave it.
    hadoop : callable
        Returns Hadoop's configuration; called only if that decides.

    Returns
    -------
    str or None

    Raises
    ------
    UserError
        If there is no such path.
    """
    if not source.strip():
        raise UserError("no source: give a folder, an archive or a SequenceFile, as a path or a URI")
    if match := _FILE_URI.fullmatch(source):
        path = match[1]
    elif _SCHEME.match(source):
        return None
    else:
        path = str(Path(source).expanduser().absolute())
    if Path(path).exists():
        return path
    default = str(hadoop().get("fs.defaultFS", "file:///"))
    if not _FILE_URI.fullmatch(source) and not default.startswith("file:"):
        return None
    raise UserError(f"source {source!r} does not exist on this machine. Is the path right?")


def _is_local_master(spark: SparkSession) -> bool:
    return str(spark.sparkContext.master).startswith("local")


def _open_local(
    spark: SparkSession, source: str, path: str, patterns: Patterns, *, by_driver: bool
) -> ImageFiles:
    try:
        if Path(path).is_dir():
            parts = sorted(str(part) for part in Path(path).glob("part-*") if part.is_file())
            head = _local_head(parts[0]) if parts else b""
            if not head.startswith(sequence_file.MAGIC):
                return _local_folder(spark, source, path, patterns, by_driver=by_driver)
        else:
            parts, head = [path], _local_head(path)
    except OSError as error:
        raise UserError(
            f"cannot read {source!r}: {error.strerror}.\nAllow reading it, or move it elsewhere."
        ) from error
    kind = _kind(source, head)
    if kind == "sequence file":
        sequence_file.check_header(head, parts[0])
        for part in parts:
            sequence_file.check_records(part)
        return _sequence_file(spark, source, f"file://{path}", patterns, parts if by_driver else ())
    return _local_archive(spark, source, path, kind, patterns, by_driver=by_driver)


def _local_folder(
    spark: SparkSession, source: str, path: str, patterns: Patterns, *, by_driver: bool
) -> ImageFiles:
    now = time.time_ns()
    listing, skipped = list_folder(source, path, patterns)

    def read(chosen: Listing) -> ImageFiles:
        cut = chosen.cut(spark.sparkContext.defaultParallelism)
        splits = [FolderSplit(os.fsencode(path), entries) for entries in cut]
        return _read_splits(ImageFiles(source, patterns, len(chosen), skipped), splits, by_driver=by_driver)

    def stamps() -> Iterator[tuple[str, str | None]]:
        for name, (size, *times) in listing.rows():
            yield folder_key(name), stamp(size, *times, now=now)

    return replace(read(listing), listed=listed(listing, stamps, read))


def _local_archive(
    spark: SparkSession, source: str, path: str, kind: Kind, patterns: Patterns, *, by_driver: bool
) -> ImageFiles:
    now, status = time.time_ns(), Path(path).stat()
    if kind == "zip":
        listing, prefix, skipped = list_zip(source, path, patterns)
    else:
        with open_tar(path, gzipped=kind == "gzip") as file:
            listing, prefix, skipped = list_tar(source, file, patterns)

    def read(chosen: Listing) -> ImageFiles:
        splits: Sequence[Split]
        if kind == "gzip":
            splits = [TarSplit(path, True, prefix, chosen.whole())]
        else:
            cut = chosen.cut(spark.sparkContext.defaultParallelism)
            split = ZipSplit if kind == "zip" else partial(TarSplit, gzipped=False)
            splits = [split(path=path, prefix=prefix, entries=entries) for entries in cut]
        return _read_splits(ImageFiles(source, patterns, len(chosen), skipped), splits, by_driver=by_driver)

    state = stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, now=now)
    return replace(
        read(listing), listed=listed(listing, partial(archive_stamps, listing, prefix, state), read)
    )


def _read_splits(images: ImageFiles, splits: Sequence[Split], *, by_driver: bool) -> ImageFiles:
    if by_driver:
        return replace(images, by_driver=partial(_splits_by_driver, splits))
    return replace(images, by_workers=partial(_splits_by_workers, splits))


def _splits_by_driver(splits: Sequence[Split]) -> Iterator[Pair]:
    return chain.from_iterable(map(_read_split, splits))


def _splits_by_workers(splits: Sequence[Split], context: SparkContext) -> "RDD[Pair]":
    return context.parallelize(splits, len(splits)).flatMap(_read_split)


def _read_split(split: Split) -> Iterator[Pair]:
    return split.read()


def _open_hadoop(spark: SparkSession, source: str, patterns: Patterns) -> ImageFiles:
    files, path = hadoop_path(spark, source)
    if not files.exists(path):
        raise UserError(f"source {source!r} does not exist.\nIs the path right?")
    first = source
    if files.getFileStatus(path).isDirectory():
        statuses = list_status(spark, source)
        parts = [s.path for s in statuses if not s.is_folder and _is_part(s.path)]
        head = read_head(*hadoop_path(spark, parts[0]), BLOCK) if parts else b""
        if not head.startswith(sequence_file.MAGIC):
            return open_folder(spark, source, source, patterns)
        first = parts[0]
    else:
        head = read_head(files, path, BLOCK)
    kind = _kind(source, head)
    if kind == "sequence file":
        sequence_file.check_header(head, first)
        return _sequence_file(spark, source, source, patterns)
    if kind == "tar" and can_read(source, files.getFileStatus(path).getLen()):
        return open_tar_blocks(spark, source, source, patterns)
    return _open_copy(spark, source, kind, patterns)


def _open_copy(spark: SparkSession, source: str, kind: Kind, patterns: Patterns) -> ImageFiles:
    """Read an archive that cannot be read in ranges from a copy on this machine's disk."""
    copy = copy_to_local(spark, source)
    remove = partial(shutil.rmtree, copy.parent, ignore_errors=True)
    try:
        by_driver = not _is_local_master(spark)
        images = _local_archive(spark, source, str(copy), kind, patterns, by_driver=by_driver)
    except BaseException:
        remove()
        raise
    # Its stamps are those of the copy, which is a new file each time.
    images = replace(images, close=remove, listed=None)
    weakref.finalize(images, remove)
    return images


def _is_part(uri: str) -> bool:
    return uri.rpartition("/")[2].startswith("part-")


def _kind(source: str, head: bytes) -> Kind:
    if not head:
        raise UserError(f"{source!r} is empty: it has no bytes.\nCopy or make it again.")
    if head.startswith(sequence_file.MAGIC):
        return "sequence file"
    if head.startswith(b"PK"):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if len(head) < BLOCK or any(head):
            raise UserError(
                f"{source!r} is no folder, tar, tar.gz, zip or SequenceFile, or it is damaged: "
                f"it begins with {head[:8]!r}.\nGive one of these."
            ) from error
    return "tar"


def _local_head(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - as in the other sources
        return file.read(BLOCK)


def _sequence_file(
    spark: SparkSession, source: str, uri: str, patterns: Patterns, to_upload: Sequence[str] = ()
) -> ImageFiles:
    images = ImageFiles(source, patterns, None, Skipped(), to_upload=to_upload)
    return images if to_upload else replace(images, by_workers=partial(_records_by_workers, spark, uri))


def _records_by_workers(spark: SparkSession, uri: str, _context: SparkContext) -> "RDD[Pair]":
    return sequence_file.read(spark, uri)
