"""A tar on shared storage, read by all workers at once, each a range of its blocks.

The first pass finds all blocks that look like headers. With these blocks the driver walks the archive as if
it were local, and never comes to blocks that only look like headers. In the second pass the workers cut the
members out of their ranges. A third pass joins members that extend over more than one range.
"""

import tarfile
import time
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import accumulate, groupby
from typing import Any, NamedTuple, cast

import numpy as np
from pyspark import RDD, Broadcast, SparkContext
from pyspark.serializers import NoOpSerializer
from pyspark.sql import SparkSession

from vision_assets.spark.hadoop import escape_glob, hadoop_path, list_status
from vision_assets.steps.sources.hadoop_folder import hadoop_stamp
from vision_assets.steps.sources.image_files import ImageFiles, Pair, Patterns
from vision_assets.steps.sources.listing import (
    SPLIT_BYTES,
    SPLITS_PER_CORE,
    Entries,
    Listing,
    archive_stamps,
    listed,
)
from vision_assets.steps.sources.place import Place
from vision_assets.steps.sources.tar import BLOCK, MAX_LONG_NAME_BYTES, is_tar, list_tar

_MAX_RECORD_BLOCKS = 2048
_CHUNK = 1 << 18
_LOOKS_OCTAL = np.isin(np.arange(256), np.frombuffer(b" 01234567", dtype=np.uint8))
_READ_AHEAD = tarfile.RECORDSIZE
"""Bytes of a record, because archives are filled up with zeros to its end."""
_BEFORE_THE_MEMBER = b"LKxgX"
"""Types of headers whose own data, such as a long name, has to be read together with the headers."""


class Range(NamedTuple):
    """What a worker found in its range of the archive.

    Parameters
    ----------
    length : int
        Bytes of the range.
    offsets : ndarray of shape (n,), dtype int64
        Offsets of these blocks, in bytes from the beginning of the range.
    blocks : bytes
        The blocks, compressed.
    """

    length: int
    offsets: "np.ndarray[Any, np.dtype[np.int64]]"
    blocks: bytes


class Piece(NamedTuple):
    """Consecutive bytes of a member.

    Parameters
    ----------
    key : str
    size : int
        Bytes of the entire member.
    start : int
        Offset of `data` within the member.
    data : bytes
    """

    key: str
    size: int
    start: int
    data: bytes

    @property
    def is_complete(self) -> bool:
        """Whether these are all bytes of the member."""
        return len(self.data) == self.size


Tables = list[tuple[int, Entries]]
"""The members in the order of their offsets, in groups, each with the offset of its first member."""


class HadoopTarSource:
    """A plain tar behind Hadoop that is cut into blocks, without a copy."""

    formats = ("tar",)

    def recognizes(self, place: Place) -> bool:
        """Tell whether a place has a tar of complete blocks, at a path that Hadoop reads as one path."""
        is_readable = place.size > 0 and place.size % BLOCK == 0 and "," not in place.uri
        return place.path is None and not place.is_folder and is_readable and is_tar(place.head)

    def open(self, place: Place) -> ImageFiles:
        """Choose the images of a tar; see `open_tar_blocks`."""
        return open_tar_blocks(place.spark, place.source, place.uri, place.patterns)


def open_tar_blocks(
    spark: SparkSession, source: str, uri: str, patterns: Patterns, split_bytes: int = SPLIT_BYTES
) -> ImageFiles:
    """List a plain tar, in parallel, to be read in parallel.

    Raises
    ------
    UserError
        If the archive is damaged or incomplete, or two images have the same key.
    """
    files, path = hadoop_path(spark, uri)
    now, (status,) = time.time_ns(), list_status(spark, uri)
    size = status.size
    state = hadoop_stamp(size, status.modified, status.identity, now=now)
    blocks = _blocks(spark.sparkContext, uri, size, split_bytes)
    ranges = blocks.mapPartitions(find_headers).collect()
    starts = list(accumulate((found.length for found in ranges), initial=0))
    stream = files.open(path)
    try:
        headers = _Headers(ranges, starts, stream)
        listing, prefix, skipped = list_tar(source, headers, patterns, size, with_sparse=False)
    finally:
        stream.close()

    def read(chosen: Listing) -> ImageFiles:
        cut = chosen.cut(spark.sparkContext.defaultParallelism)
        tables = [(next(iter(entries))[1][1], entries) for entries in cut]
        by_workers = partial(_members, blocks, starts, prefix, tables) if tables else None
        return ImageFiles(source, patterns, len(chosen), skipped, by_workers)

    return replace(
        read(listing), listed=listed(listing, partial(archive_stamps, listing, prefix, state), read)
    )


def _blocks(context: SparkContext, uri: str, size: int, split_bytes: int) -> "RDD[bytes]":
    """Return the archive's bytes in equal records of complete blocks, in order."""
    blocks = size // BLOCK
    split = max(BLOCK, min(split_bytes, size // (SPLITS_PER_CORE * context.defaultParallelism)))
    most = min(_MAX_RECORD_BLOCKS, split // BLOCK)
    per_record = max(count for count in range(1, most + 1) if blocks % count == 0)
    jvm, spark_context = cast(Any, context._jvm), context._jsc.sc()
    conf = jvm.org.apache.hadoop.conf.Configuration(context._jsc.hadoopConfiguration())
    conf.set("mapreduce.input.fileinputformat.split.maxsize", str(split))
    # Like `SparkContext.binaryRecords`, but with separate settings.
    records = spark_context.binaryRecords(escape_glob(uri), per_record * BLOCK, conf)
    return RDD(records.toJavaRDD(), context, NoOpSerializer())


def find_headers(records: Iterable[bytes]) -> Iterator[Range]:
    """Find all blocks that may be headers, and the blocks with long names that follow them."""
    offset, following = 0, 0
    offsets: list[int] = []
    packer, packed = zlib.compressobj(1), bytearray()
    for record in _larger(records):
        blocks = np.frombuffer(record, dtype=np.uint8).reshape(-1, BLOCK)
        checksums = blocks[:, 148:154]
        # The walk verifies the checksums; surplus blocks cost only memory.
        maybe = _LOOKS_OCTAL[checksums].all(axis=1) & (checksums != ord(" ")).any(axis=1)
        wanted = set(range(min(following, len(blocks))))
        following -= len(wanted)
        for row in np.flatnonzero(maybe).tolist():
            more = _blocks_of_long_name(blocks[row].tobytes())
            inside = range(row, min(row + 1 + more, len(blocks)))
            wanted.update(inside)
            following = max(following, row + 1 + more - len(blocks))
        for row in sorted(wanted):
            offsets.append(offset + row * BLOCK)
            packed += packer.compress(blocks[row].tobytes())
        offset += len(record)
    packed += packer.flush()
    yield Range(offset, np.array(offsets, dtype=np.int64), bytes(packed))


def _larger(records: Iterable[bytes]) -> Iterator[bytes]:
    """Join small records. Their size depends on the factors of the archive's size, and may be one block."""
    held: list[bytes] = []
    size = 0
    for record in records:
        held.append(record)
        size += len(record)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _blocks_of_long_name(header: bytes) -> int:
    if header[156] not in _BEFORE_THE_MEMBER:
        return 0
    try:
        size = int(header[124:136].strip(b" \0"), 8)
    except ValueError:
        return 0
    return -(-size // BLOCK) if 0 < size <= MAX_LONG_NAME_BYTES else 0


class _Headers:
    """Acts as the archive's file for one walk along the headers."""

    def __init__(self, ranges: list[Range], starts: list[int], stream: Any) -> None:
        self._ranges, self._starts, self._stream = ranges, starts, stream
        self._size = starts[-1]
        self._position = 0
        self._loaded = -1
        self._blocks: dict[int, bytes] = {}
        self._ahead, self._ahead_from = b"", 0

    def seek(self, offset: int) -> int:
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        size = max(0, min(size, self._size - self._position))
        data = self._read(self._position, size)
        self._position += len(data)
        return data

    def _read(self, position: int, size: int) -> bytes:
        if size == 1:
            # `tarfile` reads one byte only to check that a member's last byte exists.
            return b"\0"
        blocks = [self._block(offset) for offset in range(position, position + size, BLOCK)]
        if None not in blocks:
            return b"".join(cast(list[bytes], blocks))[:size]
        start = position - self._ahead_from
        if not 0 <= start <= len(self._ahead) - size:
            self._stream.seek(position)
            self._ahead = bytes(self._stream.readNBytes(max(size, _READ_AHEAD)))
            self._ahead_from, start = position, 0
        return self._ahead[start : start + size]

    def _block(self, offset: int) -> bytes | None:
        part = bisect_right(self._starts, offset) - 1
        if part != self._loaded:
            found = self._ranges[part]
            data = zlib.decompress(found.blocks)
            offsets = (found.offsets + self._starts[part]).tolist()
            self._blocks = {at: data[row * BLOCK : (row + 1) * BLOCK] for row, at in enumerate(offsets)}
            self._loaded = part
        return self._blocks.get(offset)


def _members(
    blocks: "RDD[bytes]",
    starts: list[int],
    prefix: int,
    tables: Tables,
    context: SparkContext,
) -> "RDD[Pair]":
    shared = context.broadcast(tables)
    complete = blocks.mapPartitionsWithIndex(partial(_complete, starts, prefix, shared))
    fragments = blocks.mapPartitionsWithIndex(partial(_fragments, starts, prefix, shared))
    together = fragments.groupByKey(max(1, len(starts) // 8)).map(_join)
    return complete.union(together)


def _complete(
    starts: list[int], prefix: int, tables: Broadcast[Tables], index: int, records: Iterable[bytes]
) -> Iterator[Pair]:
    for piece in pieces(records, starts[index], tables.value):
        if piece.is_complete:
            yield piece.key.encode()[prefix:].decode(), piece.data


def _fragments(
    starts: list[int], prefix: int, tables: Broadcast[Tables], index: int, records: Iterable[bytes]
) -> Iterator[tuple[str, tuple[int, bytes]]]:
    for piece in pieces(records, starts[index], tables.value):
        if not piece.is_complete:
            yield piece.key.encode()[prefix:].decode(), (piece.start, piece.data)


def _join(fragments: tuple[str, Iterable[tuple[int, bytes]]]) -> Pair:
    key, parts = fragments
    return key, b"".join(data for _, data in sorted(parts))


def pieces(records: Iterable[bytes], position: int, tables: Tables) -> Iterator[Piece]:
    """Cut a range of the archive that begins at `position` into the bytes of its members."""
    members = _members_from(position, tables)
    member = next(members, None)
    held: list[bytes] = []
    held_from = 0
    for record in _larger(records):
        end = position + len(record)
        while member and member.start < end:
            start, size = member.start, member.size
            if not held:
                held_from = max(position - start, 0)
            held.append(record[max(start - position, 0) : start + size - position])
            if start + size > end:
                break
            yield from member.pieces(held_from, held)
            held.clear()
            member = next(members, None)
        position = end
    if held and member:
        yield from member.pieces(held_from, held)


class _Member(NamedTuple):
    """Bytes of the archive, and the keys of all images that are these bytes."""

    start: int
    size: int
    keys: list[str]

    def pieces(self, start: int, held: list[bytes]) -> Iterator[Piece]:
        data = b"".join(held)
        for key in self.keys:
            yield Piece(key, self.size, start, data)


def _members_from(position: int, tables: Tables) -> Iterator[_Member]:
    """Yield members, from the first with a byte at or after `position`."""
    firsts = [first for first, _ in tables]
    table = max(0, bisect_right(firsts, position) - 1)
    # Links to the first member of a table may fill tables before it, and be at the end of another one.
    table = max(0, bisect_left(firsts, firsts[table]) - 1)
    rows = (row for _, entries in tables[table:] for row in entries)
    for (offset, size), same in groupby(rows, lambda row: (row[1][1], row[1][0])):
        if offset >= position or offset + size > position:
            yield _Member(offset, size, [name.decode() for name, _ in same])
