"""Parquet files that Python workers write themselves: on one machine, rows need not pass through the JVM."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext, __version__
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from vision_assets.spark.parquet_schema import SPARK_SCHEMA
from vision_assets.uris import local_path

BatchFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

SORTED_GROUP_BYTES = 1 << 20
"""Size of the row groups of a sorted file before compression."""
NAMES_IN_A_GROUP = 1000
"""Number of values that a Bloom filter of a row group is made for."""

_SORTED_BYTES = 32 << 20  # of rows that are in memory at once
_GROUP_BYTES = 16 << 20
_UNFINISHED = "_temporary"  # Spark's own name for it, which all readers ignore
_ROWS = "rows"
_ROWS_BYTES = 8


@dataclass(frozen=True)
class MappedRows:
    """Rows that Python workers make from batches of other rows.

    Parameters
    ----------
    source : DataFrame
    function : callable
        Takes the batches of a partition, and yields batches with the columns of `schema`.
    schema : StructType
    """

    source: DataFrame
    function: BatchFunction
    schema: StructType

    def to_frame(self) -> DataFrame:
        """Return the rows, not yet computed."""
        return self.source.mapInArrow(self.function, self.schema)


class WrittenFile(NamedTuple):
    """A file that a worker has written.

    Attributes
    ----------
    name : str
    rows : int
    """

    name: str
    rows: int


class _Layout(NamedTuple):
    schema: StructType
    sorted_by: str | None
    looked_up_by: str | None


def write_files(
    rows: MappedRows, folder: Path, sorted_by: str | None = None, looked_up_by: str | None = None
) -> list[WrittenFile]:
    """Compute rows and write them beside the files that a folder has already.

    A file appears once it is complete, and stays if the run dies. A task that is tried again replaces it.

    Parameters
    ----------
    rows : MappedRows
    folder : Path
    sorted_by : str, optional
        Column by which rows are sorted, 32 MB at a time, in row groups of 1 MB.
    looked_up_by : str, optional
        Column with a Bloom filter in each row group.

    Returns
    -------
    list of WrittenFile
        In the order of the partitions. One without rows has no file, but an empty table has one.
    """
    unfinished = folder / _UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    layout, token = _Layout(rows.schema, sorted_by, looked_up_by), uuid4().hex
    write = partial(_write_partition, rows.function, layout, folder, token)
    written = rows.source.mapInArrow(write, "name string, rows long").collect()
    # After an error or an interrupt, tasks may still be writing there.
    shutil.rmtree(unfinished)
    if not written:
        _write_file(folder / _name_of_part(0, token), layout, iter(()))
        return [WrittenFile(_name_of_part(0, token), 0)]
    return sorted(WrittenFile(*row) for row in written)


def rows_written(folder: str) -> int:
    """Return how many rows workers have written by now, in this or another process.

    Parameters
    ----------
    folder : str
        A local path or a URI.
    """
    path = local_path(folder)
    if path is None:
        return 0
    try:
        counts = (path / _UNFINISHED / _ROWS).read_bytes()
    except FileNotFoundError:
        return 0
    return sum(
        int.from_bytes(counts[start : start + _ROWS_BYTES], "little")
        for start in range(0, len(counts), _ROWS_BYTES)
    )


def _write_partition(
    function: BatchFunction, layout: _Layout, folder: Path, token: str, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    context = TaskContext.get()
    assert context  # noqa: S101 - this runs in a task
    partition = context.partitionId()
    name = _name_of_part(partition, token)
    unfinished = folder / _UNFINISHED / name
    counter = os.open(folder / _UNFINISHED / _ROWS, os.O_CREAT | os.O_WRONLY, 0o666)
    rows = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in function(batches):
            yield batch
            rows += batch.num_rows
            os.pwrite(counter, rows.to_bytes(_ROWS_BYTES, "little"), partition * _ROWS_BYTES)

    try:
        _write_file(unfinished, layout, counted())
        if rows:
            unfinished.replace(folder / name)
            yield pa.record_batch({"name": [name], "rows": [rows]})
    except OSError as error:  # names no file if the disk is full
        error.filename = error.filename or str(folder / name)
        raise
    finally:
        os.close(counter)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _name_of_part(partition: int, token: str) -> str:
    return f"part-{partition:05d}-{token}.zstd.parquet"


def _write_file(file: Path, layout: _Layout, batches: Iterator[pa.RecordBatch]) -> None:
    columns = to_arrow_schema(layout.schema)
    filters = {layout.looked_up_by: {"ndv": NAMES_IN_A_GROUP, "fpp": 0.01}} if layout.looked_up_by else None
    with pq.ParquetWriter(
        file,
        columns,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_page_checksum=True,
        store_schema=False,
        bloom_filter_options=filters,
    ) as writer:
        writer.add_key_value_metadata(
            {"org.apache.spark.version": __version__, SPARK_SCHEMA: layout.schema.json()}
        )
        for table in _in_pieces(batches, _SORTED_BYTES if layout.sorted_by else _GROUP_BYTES):
            rows = table.cast(columns)
            if not layout.sorted_by:
                writer.write_table(rows)
                continue
            order = pc.sort_indices(rows, [(layout.sorted_by, "ascending")])
            step = max(1, rows.num_rows * SORTED_GROUP_BYTES // max(1, rows.nbytes))
            for start in range(0, rows.num_rows, step):
                writer.write_table(rows.take(order[start : start + step]))


def _in_pieces(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Join batches to tables of at least a size in bytes, but the last one."""
    piece: list[pa.RecordBatch] = []
    for batch in batches:
        piece.append(batch)
        if sum(each.nbytes for each in piece) >= size:
            yield pa.Table.from_batches(piece)
            piece = []
    if piece:
        yield pa.Table.from_batches(piece)
