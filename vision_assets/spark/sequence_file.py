"""The format SequenceFile of `<Text, BytesWritable>`: records of a key and bytes, read and written."""

import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pyspark import RDD
from pyspark.serializers import CPickleSerializer
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.spark.diagnosis import damaged_sequence_file
from vision_assets.spark.hadoop import escape_path, size_of

MAGIC = b"SEQ"
HEADER_BYTES = 512
"""How much of a file `check_header` needs."""

_START = MAGIC + b"\x06"  # with the version of the layout

_TEXT = "org.apache.hadoop.io.Text"
_BYTES = "org.apache.hadoop.io.BytesWritable"
_INPUT = "org.apache.hadoop.mapreduce.lib.input.SequenceFileInputFormat"
_OUTPUT = "org.apache.hadoop.mapreduce.lib.output.SequenceFileOutputFormat"
_MARKER_FILE = "mapreduce.fileoutputcommitter.marksuccessfuljobs"
_COMPRESS = "mapreduce.output.fileoutputformat.compress"
_PATHS = "mapreduce.input.fileinputformat.inputdir"
_SPLIT_BYTES = "mapreduce.input.fileinputformat.split.maxsize"
_LEAST_SPLIT_BYTES = "mapreduce.input.fileinputformat.split.minsize"  # else a block is the largest

_PART_BYTES = 256 << 20
_SYNC_EVERY_BYTES = 100_000
_SYNC_BYTES = 16

Record = tuple[str, bytes]
"""Key and value."""


def read(spark: SparkSession, uri: str) -> "RDD[Record]":
    """Read the records of a SequenceFile, lazily.

    Parameters
    ----------
    spark : SparkSession
        The session.
    uri : str
        A file, or a folder of part files: a local path or a Hadoop URI.

    Returns
    -------
    RDD of (str, bytes)
        A job on it fails with a Java exception if the data is damaged; see
        `vision_assets.spark.diagnosis.diagnose`.
    """
    # One record per batch: Spark's own choice takes 1,024 large records at once after 1,024 small ones.
    records: RDD[tuple[Any, Any]] = spark.sparkContext.newAPIHadoopRDD(
        _INPUT, _TEXT, _BYTES, conf={_PATHS: escape_path(uri)}, batchSize=1
    )
    return records.map(_as_record)


def read_table(
    spark: SparkSession, uris: Sequence[str], partitions: int, columns: tuple[str, str] = ("key", "value")
) -> DataFrame:
    """Read SequenceFiles as a table, lazily; no record passes through Python.

    Parameters
    ----------
    spark : SparkSession
        The session.
    uris : sequence of str
        Files, or folders of part files: local paths or Hadoop URIs of one file system.
    partitions : int
        Approximate number, at least one per file. A file is cut at its sync marks, 100 kB apart, so a small
        file may give fewer.
    columns : tuple of str
        Names of the columns of keys (string) and values (binary).

    Returns
    -------
    DataFrame
    """
    jvm: Any = spark.sparkContext._jvm
    conf = jvm.org.apache.hadoop.conf.Configuration(spark.sparkContext._jsc.hadoopConfiguration())
    conf.set(_PATHS, ",".join(map(escape_path, uris)))
    size = max(1, -(-sum(size_of(spark, uri) for uri in uris) // partitions))
    conf.set(_SPLIT_BYTES, str(size))
    conf.set(_LEAST_SPLIT_BYTES, str(size))
    text, data = jvm.java.lang.Class.forName(_TEXT), jvm.java.lang.Class.forName(_BYTES)
    pairs = spark.sparkContext._jsc.newAPIHadoopRDD(conf, jvm.java.lang.Class.forName(_INPUT), text, data)
    # Read as beans, both writables have `bytes`, a buffer longer than the content, and `length`.
    encoders = jvm.org.apache.spark.sql.Encoders
    encoder = encoders.tuple(encoders.bean(text), encoders.bean(data))
    records = DataFrame(spark._jsparkSession.createDataset(pairs.rdd(), encoder).toDF(), spark)
    return records.selectExpr(
        "cast(substring(_1.bytes, 1, _1.length) as string)", "substring(_2.bytes, 1, _2.length)"
    ).toDF(*columns)


def check_header(head: bytes, where: str) -> None:
    """Check the header of a SequenceFile.

    Parameters
    ----------
    head : bytes
        The first `HEADER_BYTES` of the file.
    where : str
        Path or URI of the file, for the message.

    Raises
    ------
    UserError
        Unless it is a SequenceFile of `<Text, BytesWritable>`.
    """
    advice = f"Only SequenceFiles of <{_TEXT}, {_BYTES}> can be read."
    try:
        key_end = 5 + head[4]
        value_end = key_end + 1 + head[key_end]
    except IndexError:
        raise UserError(
            f"the SequenceFile {where!r} ends inside its header.\nCopy or create it again."
        ) from None
    classes = (
        head[5:key_end].decode("ascii", "replace"),
        head[key_end + 1 : value_end].decode("ascii", "replace"),
    )
    if head[:3] != MAGIC or classes != (_TEXT, _BYTES):
        raise UserError(f"{where!r} is a SequenceFile of <{classes[0]}, {classes[1]}>.\n{advice}")


def check_records(path: str) -> None:
    """Walk along the records of a local SequenceFile, without reading values.

    A wrong length makes Hadoop's reader allocate gigabytes, which ends the JVM, or stop as if at the end.

    Parameters
    ----------
    path : str
        A file that passes `check_header`. Files that are compressed in blocks, or have an older layout, are
        not checked.

    Raises
    ------
    UserError
        If the lengths of a record are inconsistent, or exceed the file.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - as fast as it gets
        size = os.fstat(file.fileno()).st_size
        try:
            if file.read(len(_START)) != _START:
                return
            compressed, in_blocks, sync = _read_header(file)
            while not in_blocks and file.tell() < size:
                _skip_record(file, size, sync, compressed=compressed)
        except (struct.error, ValueError):
            raise UserError(damaged_sequence_file(path)) from None


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
    # A key begins with the length of its text, a value with its own length.
    text = file.read(min(key, 5))
    if not any(text[:width] == _vint(key - width) for width in range(1, len(text) + 1)):
        raise ValueError
    file.seek(start + key)
    if not compressed and _number(file, ">i") != length - key - 4:
        raise ValueError
    file.seek(start + length)


def _number(file: IO[bytes], layout: str) -> int:
    return int(struct.unpack(layout, file.read(struct.calcsize(layout)))[0])


def write_rdd(records: "RDD[Record]", uri: str) -> None:
    """Write records from the workers, one part file per partition, uncompressed and without a marker file.

    Parameters
    ----------
    records : RDD of (str, bytes)
    uri : str
        A folder: a local path or a Hadoop URI.
    """
    context = records.ctx
    # Spark evaluates the first record to see its type, then breaks off. The probe is a cheap first record.
    probe = context.parallelize([("", b"")], 1)
    # One pickle per record: a batch of `saveAsNewAPIHadoopFile` has as many records as the one before,
    # however large they are.
    unbatched = [rdd._reserialize(CPickleSerializer()) for rdd in (probe, records)]
    pickled = context.union(unbatched)
    conf = {_MARKER_FILE: "false", _COMPRESS: "false"}
    jvm: Any = context._jvm
    jvm.PythonRDD.saveAsNewAPIHadoopFile(pickled._jrdd, False, uri, _OUTPUT, _TEXT, _BYTES, None, None, conf)
    part = jvm.org.apache.hadoop.fs.Path(f"{uri}/part-r-00000")
    part.getFileSystem(context._jsc.hadoopConfiguration()).delete(part, False)


def write_parts(
    records: Iterable[Record],
    upload: Callable[[Path], object],
    part_bytes: int = _PART_BYTES,
    *,
    may_begin: Callable[[Record], bool] = lambda _: True,
) -> None:
    """Write records to temporary local part files, one after the other.

    The JVM's own writer would receive every value as base64 text.

    Parameters
    ----------
    records : iterable of (str, bytes)
        One record at a time is in memory.
    upload : callable
        Takes the path of each finished part file, which is removed afterwards.
    part_bytes : int
        Size from which on a part file is finished.
    may_begin : callable
        Takes a record, returns whether a part file may begin with it.
    """
    iterator = iter(records)
    first = next(iterator, None)
    number = 0
    with tempfile.TemporaryDirectory(prefix="seqfile-") as folder:
        while first is not None:
            part = Path(folder) / f"part-d-{number:05}"
            with part.open("wb") as file:
                first = _write_part(file, first, iterator, part_bytes, may_begin)
            upload(part)
            part.unlink(missing_ok=True)
            number += 1


def _write_part(
    file: IO[bytes],
    first: Record,
    rest: Iterator[Record],
    part_bytes: int,
    may_begin: Callable[[Record], bool],
) -> Record | None:
    """Write records until the part is full; return the one that did not fit, if any."""
    sync = os.urandom(_SYNC_BYTES)
    names = b"".join(_vint(len(name)) + name.encode() for name in (_TEXT, _BYTES))
    file.write(_START + names + b"\0\0" + struct.pack(">i", 0) + sync)
    last_sync = 0
    record: Record | None = first
    while record is not None and (not last_sync or file.tell() < part_bytes or not may_begin(record)):
        if file.tell() - last_sync >= _SYNC_EVERY_BYTES or not last_sync:
            file.write(struct.pack(">i", -1) + sync)
            last_sync = file.tell()
        key, data = record[0].encode(), record[1]
        text = _vint(len(key)) + key
        file.write(
            struct.pack(">ii", len(text) + 4 + len(data), len(text)) + text + struct.pack(">i", len(data))
        )
        file.write(data)
        record = next(rest, None)
    return record


def _vint(number: int) -> bytes:
    """Encode a length as Hadoop's `WritableUtils.writeVInt` does."""
    if number <= 127:
        return bytes([number])
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - 112 - len(body)]) + body


def _as_record(record: tuple[Any, Any]) -> Record:
    return record[0], bytes(record[1])
