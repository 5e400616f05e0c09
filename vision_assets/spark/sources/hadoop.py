"""Sources that are read through Hadoop's file systems: HDFS, S3, Swift and the like."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pyspark import RDD, SparkContext
from pyspark.sql import Row, SparkSession

from vision_assets.spark.image_files import MAX_IMAGE_BYTES, ImageFiles, Pair, Patterns, Skipped
from vision_assets.spark.sequence_file import escape_glob, hadoop_path
from vision_assets.spark.sources.listing import Listing

_STATUS = re.compile(r"\w*FileStatus\{path=(.*?); isDirectory=(true|false); length=(\d+);", re.DOTALL)


def read_head(files: Any, path: Any, size: int) -> bytes:
    """Read the first bytes of a file through the JVM."""
    stream = files.open(path)
    try:
        return bytes(stream.readNBytes(size))
    finally:
        stream.close()


def copy_to_local(spark: SparkSession, uri: str) -> Path:
    """Copy a file into a local temporary folder of its own, which the caller removes."""
    files, path = hadoop_path(spark, uri)
    jvm: Any = spark.sparkContext._jvm
    copy = Path(tempfile.mkdtemp(prefix="source-")) / "copy"
    try:
        # The raw file system: without a checksum file beside the copy.
        files.copyToLocalFile(False, path, jvm.org.apache.hadoop.fs.Path(f"file://{copy}"), True)
    except BaseException:
        shutil.rmtree(copy.parent)
        raise
    return copy


def list_status(spark: SparkSession, uri: str) -> list[tuple[str, bool, int]]:
    """Return path, whether it is a folder, and length of everything in a folder, by name."""
    files, path = hadoop_path(spark, uri)
    statuses = files.listStatus(path)
    gateway: Any = spark.sparkContext._gateway
    # One call for all instead of three for each: a million files take seconds, not minutes.
    objects = gateway.new_array(gateway.jvm.java.lang.Object, len(statuses))
    gateway.jvm.java.lang.System.arraycopy(statuses, 0, objects, 0, len(statuses))
    texts = gateway.jvm.org.apache.commons.lang3.StringUtils.join(objects, "\0").split("\0")
    found = []
    for index in range(len(statuses)):
        if match := _STATUS.match(texts[index]):
            found.append((match[1], match[2] == "true", int(match[3])))
        else:
            status = statuses[index]
            found.append((status.getPath().toString(), status.isDirectory(), status.getLen()))
    return sorted(found)


def open_folder(spark: SparkSession, source: str, uri: str, patterns: Patterns) -> ImageFiles:
    """List a folder and all below. Workers read what Spark's reader shows, the driver what it hides.

    Spark hides files and folders whose names begin with '_' or '.', as those of many cameras do.
    """
    files, path = hadoop_path(spark, uri)
    root = files.makeQualified(path).toString().rstrip("/") + "/"
    hidden, skipped, count = Listing(), Skipped(), 0
    pending = [root]
    while pending:
        folders = []
        for child, is_folder, size in list_status(spark, pending.pop()):
            key = child.removeprefix(root)
            if is_folder:
                folders.append(child)
            elif reason := patterns.reason_to_skip(key, size):
                skipped.add(key, reason)
            else:
                count += 1
                if _is_hidden(key):
                    hidden.add(key.encode("utf-8", "surrogatepass"), size)
        pending.extend(reversed(folders))
    by_workers = partial(_visible, spark, root, patterns) if count > len(hidden) else None
    by_driver = partial(_hidden, spark, root, hidden) if hidden else None
    return ImageFiles(source, patterns, count, skipped, by_workers, by_driver)


def _is_hidden(key: str) -> bool:
    """Tell what Spark's file sources leave out."""
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part) or part.endswith("._COPYING_")
        for part in key.split("/")
    )


def _visible(spark: SparkSession, root: str, patterns: Patterns, _context: SparkContext) -> "RDD[Pair]":
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", True)
    reader = reader.option("ignoreMissingFiles", False).option("ignoreCorruptFiles", False)
    if glob := hadoop_glob(patterns.globs):
        reader = reader.option("pathGlobFilter", glob)
    table = reader.load(escape_glob(root)).where(f"length <= {MAX_IMAGE_BYTES}").select("path", "content")
    return table.rdd.mapPartitions(partial(_chosen_rows, root, patterns))


def _chosen_rows(root: str, patterns: Patterns, rows: Iterator[Row]) -> Iterator[Pair]:
    for path, content in rows:
        if patterns.match(path):
            yield path.removeprefix(root), bytes(content)


def hadoop_glob(globs: tuple[str, ...]) -> str | None:
    """Write patterns as one of Hadoop's that disregards case; None when they are too special for that."""
    if not all(re.fullmatch(r"[\w.*-]+", glob, re.ASCII) for glob in globs):
        return None
    either = [
        re.sub("[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", glob) for glob in globs
    ]
    return "{" + ",".join(either) + "}"


def _hidden(spark: SparkSession, root: str, listing: Listing) -> Iterator[Pair]:
    for name in listing.names():
        key = name.decode("utf-8", "surrogatepass")
        copy = copy_to_local(spark, root + key)
        try:
            data = copy.read_bytes()
        finally:
            shutil.rmtree(copy.parent)
        yield key, data
