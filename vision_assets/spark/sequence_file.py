"""SequenceFiles of `<Text, BytesWritable>`: a key and a file's bytes, as Hadoop and Spark know them."""

import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark import RDD, Accumulator
from pyspark.accumulators import AccumulatorParam
from pyspark.errors import PySparkException
from pyspark.serializers import CPickleSerializer
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError, worker_error
from vision_assets.spark.image_files import ImageFiles, Pair, Patterns, Skipped, no_images

MAGIC = b"SEQ"
HEADER_BYTES = 512
"""Enough of a SequenceFile's beginning for `check_header`."""

_START = MAGIC + b"\x06"  # and the version of the layout

_TEXT = "org.apache.hadoop.io.Text"
_BYTES = "org.apache.hadoop.io.BytesWritable"
_INPUT = "org.apache.hadoop.mapreduce.lib.input.SequenceFileInputFormat"
_OUTPUT = "org.apache.hadoop.mapreduce.lib.output.SequenceFileOutputFormat"
_NO_MARKER_FILE = "mapreduce.fileoutputcommitter.marksuccessfuljobs"
_COMPRESS = "mapreduce.output.fileoutputformat.compress"
_PATHS = "mapreduce.input.fileinputformat.inputdir"
_SPLIT_BYTES = "mapreduce.input.fileinputformat.split.maxsize"
_LEAST_SPLIT_BYTES = "mapreduce.input.fileinputformat.split.minsize"  # else a block is the most

_PART_BYTES = 256 << 20
_SYNC_EVERY_BYTES = 100_000
_SYNC_BYTES = 16


@dataclass(frozen=True)
class SequenceFileReport:
    """How many images a SequenceFile holds, and what was not taken from the source."""

    count: int
    skipped: Skipped

    def __add__(self, other: "SequenceFileReport") -> "SequenceFileReport":
        return SequenceFileReport(self.count + other.count, self.skipped + other.skipped)


def write(spark: SparkSession, images: ImageFiles, uri: str) -> SequenceFileReport:
    """Write images into part files of a SequenceFile, without compression and without a marker file.

    Workers write what they can read; the driver writes what only it can read to a local temporary file
    at a time, of at most 256 MB or one image, and uploads that. No more than one image per task is in memory.

    Parameters
    ----------
    spark : SparkSession
        The session; its Hadoop settings decide how `uri` is reached.
    images : ImageFiles
        From `vision_assets.steps.sources.open_source`.
    uri : str
        A folder without part files: a local path or a Hadoop URI.

    Returns
    -------
    SequenceFileReport
        What was written, with the names skipped while reading added to those skipped before.

    Raises
    ------
    UserError
        When the source cannot be read to its end, has changed, or holds no image. What was written by
        then stays.
    """
    files, path = hadoop_path(spark, uri)
    if files.exists(path) and part_files(spark, uri):
        raise UserError(f"{uri!r} has part files: write into a folder that has none")
    reports = spark.sparkContext.accumulator({}, _Reports())
    staged = f"{uri}.uploaded"
    choose = partial(_choose, images.patterns, reports)
    try:
        if images.to_upload:
            _copy_from_local(spark, images.to_upload, staged)
            _write_by_workers(read(spark, staged).mapPartitionsWithIndex(choose), uri)
        if images.by_workers:
            _write_by_workers(images.by_workers(spark.sparkContext).mapPartitionsWithIndex(choose), uri)
        if images.by_driver:
            files.mkdirs(path)
            write_parts(choose(-1, images.by_driver()), partial(_upload, spark, uri))
        written = sum(reports.value.values(), SequenceFileReport(0, images.skipped))
        _check(images, written)
    except Exception as error:
        known = explain(error, images.source)
        if known is None:
            raise
        if known is error:
            raise
        raise known from error
    finally:
        if images.to_upload:
            files.delete(path.suffix(".uploaded"), True)
    return written


def _check(images: ImageFiles, written: SequenceFileReport) -> None:
    if not written.count:
        raise no_images(images.source, images.patterns, written.skipped)
    if images.count is not None and images.count != written.count:
        raise UserError(
            f"{images.source!r} changed while it was read: {images.count} images were listed and "
            f"{written.count} read.\nRun again when it is at rest."
        )


def read(spark: SparkSession, uri: str) -> "RDD[Pair]":
    """Read the (key, bytes) of a SequenceFile, lazily.

    Parameters
    ----------
    spark : SparkSession
        The session.
    uri : str
        A file, or a folder of part files: a local path or a Hadoop URI.

    Returns
    -------
    RDD of (str, bytes)
        A job on it fails with a Java exception when the data is damaged; see `explain`.
    """
    # One record per batch: Spark's own choice takes 1,024 photos at once after 1,024 thumbnails.
    records: RDD[tuple[Any, Any]] = spark.sparkContext.newAPIHadoopRDD(
        _INPUT, _TEXT, _BYTES, conf={_PATHS: escape_path(uri)}, batchSize=1
    )
    return records.map(_as_pair)


def read_table(spark: SparkSession, uris: Sequence[str], partitions: int) -> DataFrame:
    """Read a SequenceFile as a table, lazily, without a detour through Python.

    Parameters
    ----------
    spark : SparkSession
        The session.
    uris : sequence of str
        Files, or folders of part files: local paths or Hadoop URIs of one file system.
    partitions : int
        About how many, at least one per file. A part is cut at its sync marks, 100 kB apart, so a small file
        may give fewer.

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.IMAGE_SCHEMA`.
    """
    jvm = _jvm(spark)
    conf = jvm.org.apache.hadoop.conf.Configuration(spark.sparkContext._jsc.hadoopConfiguration())
    conf.set(_PATHS, ",".join(map(escape_path, uris)))
    size = max(1, -(-sum(size_of(spark, uri) for uri in uris) // partitions))
    conf.set(_SPLIT_BYTES, str(size))
    conf.set(_LEAST_SPLIT_BYTES, str(size))
    text, data = jvm.java.lang.Class.forName(_TEXT), jvm.java.lang.Class.forName(_BYTES)
    pairs = spark.sparkContext._jsc.newAPIHadoopRDD(conf, jvm.java.lang.Class.forName(_INPUT), text, data)
    # As beans both writables have `bytes`, a buffer longer than its content, and `length`.
    encoders = jvm.org.apache.spark.sql.Encoders
    encoder = encoders.tuple(encoders.bean(text), encoders.bean(data))
    records = DataFrame(spark._jsparkSession.createDataset(pairs.rdd(), encoder).toDF(), spark)
    return records.selectExpr(
        "cast(substring(_1.bytes, 1, _1.length) as string) as fileName",
        "substring(_2.bytes, 1, _2.length) as content",
    )


def check_header(head: bytes, where: str) -> None:
    """Raise a `UserError` unless a file's first `HEADER_BYTES` are those of a `<Text, BytesWritable>`."""
    advice = f"Only SequenceFiles of <{_TEXT}, {_BYTES}> can be read."
    try:
        key_end = 5 + head[4]
        value_end = key_end + 1 + head[key_end]
    except IndexError:
        raise UserError(
            f"the SequenceFile {where!r} ends inside its header.\nCopy or make it again."
        ) from None
    classes = (
        head[5:key_end].decode("ascii", "replace"),
        head[key_end + 1 : value_end].decode("ascii", "replace"),
    )
    if head[:3] != MAGIC or classes != (_TEXT, _BYTES):
        raise UserError(f"{where!r} is a SequenceFile of <{classes[0]}, {classes[1]}>.\n{advice}")


def check_records(path: str) -> None:
    """Walk along a local SequenceFile's records, without reading images.

    A wrong length has Hadoop's reader take gigabytes, which ends the JVM, or take it for the end.

    Parameters
    ----------
    path : str
        A file that `check_header` takes. One that is compressed in blocks, or of an older layout, is left as
        it is.

    Raises
    ------
    UserError
        When a record's lengths do not fit together, or do not fit into the file.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - as in the sources
        size = os.fstat(file.fileno()).st_size
        try:
            if file.read(len(_START)) != _START:
                return
            compressed, in_blocks, sync = _read_header(file)
            while not in_blocks and file.tell() < size:
                _skip_record(file, size, sync, compressed=compressed)
        except (struct.error, ValueError):
            raise damaged(path) from None


def _read_header(file: IO[bytes]) -> tuple[bool, bool, bytes]:
    """Return whether records and blocks are compressed, and the sync mark."""
    file.seek(len(_START))
    _skip_text(file)
    _skip_text(file)
    compressed, in_blocks = file.read(1) != b"\0", file.read(1) != b"\0"
    if compressed:
        _skip_text(file)
    for _ in range(2 * _number(file, ">i")):
        _skip_text(file)
    return compressed, in_blocks, file.read(_SYNC_BYTES)


def _skip_text(file: IO[bytes]) -> None:
    first = _number(file, "B")
    more = file.read(min(max(144 - first, 0), 4)) if first > 127 else bytes([first])
    file.seek(int.from_bytes(more), 1)


def _skip_record(file: IO[bytes], size: int, sync: bytes, *, compressed: bool) -> None:
    length = _number(file, ">i")
    if length == -1:
        if file.read(_SYNC_BYTES) != sync:
            raise ValueError
        return
    key = _number(file, ">i")
    start = file.tell()
    if not 0 < key <= length <= size - start:
        raise ValueError
    # A key begins with the length of its text, a value with its own.
    text = file.read(min(key, 5))
    if not any(text[:width] == _vint(key - width) for width in range(1, len(text) + 1)):
        raise ValueError
    file.seek(start + key)
    if not compressed and _number(file, ">i") != length - key - 4:
        raise ValueError
    file.seek(start + length)


def _number(file: IO[bytes], layout: str) -> int:
    return int(struct.unpack(layout, file.read(struct.calcsize(layout)))[0])


def damaged(source: str) -> UserError:
    """Make the error for a SequenceFile that cannot be read to its end."""
    return UserError(
        f"the SequenceFile {source!r} is damaged or ends in the middle of a record.\n"
        "Copy or make it again, then retry."
    )


def explain(error: Exception, source: str) -> UserError | None:
    """Find the cause that a user can mend in the error of a Spark job that reads images.

    Returns
    -------
    UserError or None
        None when the cause is another.
    """
    if isinstance(error, UserError):
        return error
    if not isinstance(error, (Py4JJavaError, PySparkException)):
        return None
    if cause := worker_error(error):
        return cause
    text = str(error)
    if file := _unreadable_file(text):
        return UserError(f"cannot read {file!r}, which was listed before.\nIs it still there, and readable?")
    damage = (
        "java.io.EOFException",
        "File is corrupt",
        "not a SequenceFile",
        "ChecksumException",
        "is not class",
        "bytes, should read",
        "java.lang.IndexOutOfBoundsException: Range [0, 0 + -",
        "java.lang.OutOfMemoryError: Requested array size exceeds VM limit",
    )
    if any(sign in text for sign in damage):
        return damaged(source)
    return None


def _unreadable_file(text: str) -> str | None:
    """Find the file that Spark could not read: it tells it percent-encoded, or escaped as a pattern."""
    if found := re.search(r"Encountered error while reading file (\S+?)\.?\s", text):
        return unquote(found[1])
    if found := re.search(r"\[PATH_NOT_FOUND\] Path does not exist: (.+)\. SQLSTATE", text, re.DOTALL):
        return re.sub(r"\\(.)", r"\1", found[1])
    return None


def hadoop_path(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    """Return the JVM's `FileSystem` and `Path` for a URI."""
    path = _jvm(spark).org.apache.hadoop.fs.Path(uri)
    return path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()), path


def size_of(spark: SparkSession, uri: str) -> int:
    """Return the size in bytes of a file, or of all files in a folder."""
    files, path = hadoop_path(spark, uri)
    return int(files.getContentSummary(path).getLength())


def part_files(spark: SparkSession, uri: str) -> list[str]:
    """Return the URIs of the part files in a folder, sorted."""
    files, path = hadoop_path(spark, uri)
    parts = [status.getPath() for status in files.listStatus(path) if status.isFile()]
    return sorted(part.toString() for part in parts if part.getName()[0] not in "._")


def escape_glob(uri: str) -> str:
    """Write a path so that Hadoop takes none of its characters for a pattern."""
    return re.sub(r"([{}\[\]*?\\])", r"\\\1", uri)


def escape_path(uri: str) -> str:
    """Write a path so that a Hadoop input format takes it for one path and no pattern."""
    return re.sub(r"([,\\])", r"\\\1", escape_glob(uri))


def write_parts(
    pairs: Iterable[Pair], upload: Callable[[Path], object], part_bytes: int = _PART_BYTES
) -> None:
    """Write pairs to local SequenceFiles, one after the other, and hand over each.

    Through the JVM's own writer every image would go as base64 text.
    """
    iterator = iter(pairs)
    first = next(iterator, None)
    number = 0
    with tempfile.TemporaryDirectory(prefix="seqfile-") as folder:
        while first is not None:
            part = Path(folder) / f"part-d-{number:05}"
            with part.open("wb") as file:
                first = _write_part(file, first, iterator, part_bytes)
            upload(part)
            part.unlink(missing_ok=True)
            number += 1


def _write_part(file: IO[bytes], first: Pair, rest: Iterator[Pair], part_bytes: int) -> Pair | None:
    """Write pairs until the part is full; return the one that did not fit, if any."""
    sync = os.urandom(_SYNC_BYTES)
    names = b"".join(_vint(len(name)) + name.encode() for name in (_TEXT, _BYTES))
    file.write(_START + names + b"\0\0" + struct.pack(">i", 0) + sync)
    last_sync = 0
    pair: Pair | None = first
    while pair is not None and (not last_sync or file.tell() < part_bytes):
        if file.tell() - last_sync >= _SYNC_EVERY_BYTES or not last_sync:
            file.write(struct.pack(">i", -1) + sync)
            last_sync = file.tell()
        key, data = pair[0].encode(), pair[1]
        text = _vint(len(key)) + key
        file.write(
            struct.pack(">ii", len(text) + 4 + len(data), len(text)) + text + struct.pack(">i", len(data))
        )
        file.write(data)
        pair = next(rest, None)
    return pair


def _vint(number: int) -> bytes:
    """Encode a length as Hadoop's `WritableUtils.writeVInt` does."""
    if number <= 127:
        return bytes([number])
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - 112 - len(body)]) + body


def _write_by_workers(pairs: "RDD[Pair]", uri: str) -> None:
    context = pairs.ctx
    # Spark reads a first record to look at its type, and breaks off; this spares it a part of the images.
    probe = context.parallelize([("", b"")], 1)
    # One pickle per pair: the batches of `saveAsNewAPIHadoopFile` take as many photos as thumbnails before.
    unbatched = [records._reserialize(CPickleSerializer()) for records in (probe, pairs)]
    records = context.union(unbatched)
    conf = {_NO_MARKER_FILE: "false", _COMPRESS: "false"}
    jvm: Any = context._jvm
    jvm.PythonRDD.saveAsNewAPIHadoopFile(records._jrdd, False, uri, _OUTPUT, _TEXT, _BYTES, None, None, conf)
    part = jvm.org.apache.hadoop.fs.Path(f"{uri}/part-r-00000")
    part.getFileSystem(context._jsc.hadoopConfiguration()).delete(part, False)


Reports = dict[int, SequenceFileReport]
"""Number of a partition to its report."""


class _Reports(AccumulatorParam[Reports]):
    """Holds one report per partition, however often its task is tried."""

    def zero(self, value: Reports) -> Reports:
        return {}

    def addInPlace(self, value1: Reports, value2: Reports) -> Reports:  # noqa: N802
        value1.update(value2)
        return value1


def _choose(
    patterns: Patterns,
    reports: Accumulator[Reports],
    partition: int,
    pairs: Iterable[Pair],
) -> Iterator[Pair]:
    """Take what the patterns match, which only a SequenceFile's keys may not; report at the end."""
    count, skipped = 0, Skipped()
    for pair in pairs:
        if reason := patterns.reason_to_skip(pair[0], len(pair[1])):
            skipped.add(pair[0], reason)
        else:
            count += 1
            yield pair
    reports.add({partition: SequenceFileReport(count, skipped)})


def _upload(spark: SparkSession, uri: str, part: Path) -> None:
    _copy_from_local(spark, [str(part)], uri)


def _copy_from_local(spark: SparkSession, paths: Sequence[str], folder: str) -> None:
    files, target = hadoop_path(spark, folder)
    files.mkdirs(target)
    for path in paths:
        files.copyFromLocalFile(False, True, hadoop_path(spark, f"file://{path}")[1], target)


def _as_pair(record: tuple[Any, Any]) -> Pair:
    return record[0], bytes(record[1])


def _jvm(spark: SparkSession) -> Any:
    return spark.sparkContext._jvm
