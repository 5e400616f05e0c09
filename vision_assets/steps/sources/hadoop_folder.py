"""A folder behind one of Hadoop's file systems: HDFS, S3, Swift and the like."""

import posixpath
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from pyspark import RDD, SparkContext
from pyspark.sql import Row, SparkSession

from vision_assets.spark.hadoop import copy_to_local, escape_glob, hadoop_path, list_status, read_head
from vision_assets.steps.sources.image_files import (
    MAX_IMAGE_BYTES,
    ImageFiles,
    Pair,
    Patterns,
    Skipped,
    in_folder,
    is_hidden,
    stamp,
)
from vision_assets.steps.sources.listing import BYTES_PER_FILE, SPLIT_BYTES, SPLITS_PER_CORE, Listing, listed
from vision_assets.steps.sources.place import Place
from vision_assets.vision.io.headers import START_BYTES

_NANOSECONDS = 10**6
"""Nanoseconds in a millisecond, which Hadoop's times count."""


class HadoopFolderSource:
    """A folder behind Hadoop."""

    formats = ("folder",)

    def recognizes(self, place: Place) -> bool:
        """Tell whether a place is a folder that only Hadoop can read."""
        return place.path is None and place.is_folder

    def open(self, place: Place) -> ImageFiles:
        """Choose the images of a folder; see `open_folder`."""
        return open_folder(place.spark, place.source, place.uri, place.patterns)


def open_folder(spark: SparkSession, source: str, uri: str, patterns: Patterns) -> ImageFiles:
    """List a folder and all below. Workers read the files that Spark's reader shows, the driver the rest.

    Spark leaves out empty files and names that begin with '_' or '.', as those of many cameras do.
    """
    files, path = hadoop_path(spark, uri)
    root = files.makeQualified(path).toString().rstrip("/") + "/"
    root_path = path.toUri().getPath()
    listing, skipped, now = Listing(further_numbers=2), Skipped(), time.time_ns()
    pending = [root]
    while pending:
        folders = []
        for status in list_status(spark, pending.pop()):
            key = status.path.removeprefix(root)
            if status.is_folder:
                name = posixpath.basename(status.path)
                if is_hidden(name):
                    skipped.add(f"{key}/", in_folder(name))
                else:
                    folders.append(status.path)
            elif reason := patterns.reason_to_skip(key, status.size, partial(_read_head, spark, status.path)):
                skipped.add(key, reason)
            else:
                listing.add(_to_bytes(key), status.size, status.modified, status.identity)
        pending.extend(reversed(folders))

    def read(chosen: Listing) -> ImageFiles:
        is_all = len(chosen) == len(listing)
        visible = np.array([_is_visible(_to_text(name), size) for name, (size, *_) in chosen.rows()], bool)
        if not is_all:
            paths = (f"{root_path}/{_to_text(name)}" for name in chosen.names())
            visible &= np.array([_can_be_named(path) for path in paths], bool)
        left_out, shown = chosen.select(~visible), chosen.select(visible)
        some = None if is_all else shown
        by_workers = partial(_visible, spark, root, patterns, some) if shown else None
        by_driver = partial(_left_out, spark, root, left_out) if left_out else None
        return ImageFiles(source, patterns, len(chosen), skipped, by_workers, by_driver)

    def stamps() -> Iterator[tuple[str, str | None]]:
        for name, state in listing.rows():
            yield _to_text(name), hadoop_stamp(*state, now=now)

    return replace(read(listing), listed=listed(listing, stamps, read))


def hadoop_stamp(size: int, modified: int, identity: int, *, now: int) -> str | None:
    """Return the stamp of a file, from what `vision_assets.spark.hadoop.FileStatus` says of it."""
    known = (identity,) if identity else ()
    return stamp(size, modified * _NANOSECONDS, identity=known, now=now)


def _read_head(spark: SparkSession, uri: str) -> bytes:
    return read_head(*hadoop_path(spark, uri), START_BYTES)


def _to_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _to_text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _is_visible(key: str, size: int) -> bool:
    """Tell whether Spark's reader shows a file."""
    return size > 0 and not any(
        part.startswith(".") or (part.startswith("_") and "=" not in part) or part.endswith("._COPYING_")
        for part in key.split("/")
    )


def _can_be_named(path: str) -> bool:
    """Tell whether a file can be named to Spark's reader; Hadoop allows no colon in patterns."""
    return ":" not in path or escape_glob(path) == path


def _visible(
    spark: SparkSession, root: str, patterns: Patterns, some: Listing | None, context: SparkContext
) -> "RDD[Pair]":
    # A separate session with its own settings; by default a task gets only 32 small files.
    session = spark.newSession()
    session.conf.set("spark.sql.files.openCostInBytes", BYTES_PER_FILE)
    session.conf.set("spark.sql.files.maxPartitionBytes", SPLIT_BYTES)
    session.conf.set("spark.sql.files.minPartitionNum", SPLITS_PER_CORE * context.defaultParallelism)
    reader = session.read.format("binaryFile").option("recursiveFileLookup", True)
    reader = reader.option("ignoreMissingFiles", False).option("ignoreCorruptFiles", False)
    if (glob := hadoop_glob(patterns.globs)) and not patterns.by_content:
        reader = reader.option("pathGlobFilter", glob)
    paths = [root] if some is None else [root + _to_text(name) for name in some.names()]
    table = (
        reader.load([escape_glob(path) for path in paths])
        .where(f"length BETWEEN 1 AND {MAX_IMAGE_BYTES}")
        .select("path", "content")
    )
    return table.rdd.mapPartitions(partial(_chosen_rows, root, patterns))


def _chosen_rows(root: str, patterns: Patterns, rows: Iterator[Row]) -> Iterator[Pair]:
    for path, content in rows:
        key = path.removeprefix(root)
        data = bytes(content)
        if not patterns.reason_to_skip(key, len(data), partial(bytes, data)):
            yield key, data


def hadoop_glob(globs: tuple[str, ...]) -> str | None:
    """Return patterns as one pattern of Hadoop that ignores case; None if they are too special for that."""
    if not all(re.fullmatch(r"[\w.*-]+", glob, re.ASCII) for glob in globs):
        return None
    either = [
        re.sub("[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", glob) for glob in globs
    ]
    return "{" + ",".join(either) + "}"


def _left_out(spark: SparkSession, root: str, listing: Listing) -> Iterator[Pair]:
    for name, (size, *_) in listing.rows():
        key = _to_text(name)
        yield key, _read_in_driver(spark, root + key) if size else b""


def _read_in_driver(spark: SparkSession, uri: str) -> bytes:
    # Through a file, because the JVM passes bytes as text, slowly.
    copy = copy_to_local(spark, uri)
    try:
        return copy.read_bytes()
    finally:
        shutil.rmtree(copy.parent)
