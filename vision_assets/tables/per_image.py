"""Tables with one row per image that depends on the image and on settings alone: each row is computed once.

A new table reuses what earlier ones contain: a file unchanged if all its rows are still wanted, else its rows
that are. Only the rest is computed. Only keys are read to tell which is which.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StructField, StructType

from vision_assets.spark.hadoop import escape_glob
from vision_assets.spark.worker_files import MappedRows

_SMALL_FILE = 4 << 20
_MANY_SMALL_FILES = 64
_FILE_BYTES = 32 << 20


@dataclass(frozen=True)
class PendingRows:
    """Rows that have to be computed.

    Parameters
    ----------
    keys : DataFrame
        Column ``fileName``.
    sources : sequence of str
        Files that contain what the rows are computed from: values of the column ``source`` of
        `PerImageTable.wanted`.
    rows : int
    """

    keys: DataFrame
    sources: Sequence[str]
    rows: int


@dataclass(frozen=True)
class EarlierRows:
    """Rows that an earlier release has computed, of which some are what this release would compute.

    Parameters
    ----------
    settings : mapping
        What `PerImageTable.settings` were in that release.
    usable : callable, optional
        Returns the column ``fileName``: the images whose rows are still right. None if all are.
    """

    settings: Mapping[str, Any]
    usable: Callable[[], DataFrame] | None = None


@dataclass(frozen=True)
class PerImageTable:
    """A table with one row per image that is to be stored, partly from rows that are stored already.

    Parameters
    ----------
    wanted : DataFrame
        Columns ``fileName``, ``digest``, those named in `same`, and ``source``: the images, and the file that
        contains each.
    compute : callable
        Returns the pending rows, or all rows for None.
    settings : mapping
        Everything that rows depend on besides the images and the asset's other inputs.
    same : mapping
        Column of `wanted` to column of the table. A row is reused only if these values are equal, as those of
        ``digest`` must be.
    earlier : sequence of EarlierRows
        Other settings whose rows may be reused.
    """

    wanted: DataFrame
    compute: Callable[[PendingRows | None], DataFrame | MappedRows]
    settings: Mapping[str, Any]
    same: Mapping[str, str] = field(default_factory=dict)
    earlier: Sequence[EarlierRows] = ()


@dataclass(frozen=True)
class StoredParts:
    """Files of a table that was stored earlier, or that a dead run has left.

    Parameters
    ----------
    uri : str
        Their folder.
    sizes : mapping
        Name to size in bytes of each complete file.
    usable : DataFrame, optional
        Column ``fileName``: the only images whose rows may be reused; None allows all.
    """

    uri: str
    sizes: Mapping[str, int]
    usable: DataFrame | None = None


@dataclass(frozen=True)
class ReusePlan:
    """What is reused, and what has to be computed.

    Parameters
    ----------
    files : list of list of str
        For each of the stored tables, its files that are reused unchanged.
    rows : DataFrame, optional
        Rows of other files that are reused.
    pending : PendingRows
    reused : int
        Number of rows reused.
    dropped : int
        Rows of the first stored table whose image is no longer wanted.
    """

    files: list[list[str]]
    rows: DataFrame | None
    pending: PendingRows
    reused: int
    dropped: int


@dataclass
class _File:
    rows: int = 0
    kept: int = 0
    gone: int = 0


@dataclass
class _Counted:
    files: list[dict[str, _File]] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)


@contextmanager
def plan_reuse(
    rows: PerImageTable, stored: Sequence[StoredParts], columns: Sequence[str]
) -> Iterator[ReusePlan]:
    """Find out which rows are stored already; Spark's cache keeps what the plan refers to until the end.

    Parameters
    ----------
    rows : PerImageTable
    stored : sequence of StoredParts
        At least one, each with a file, of rows of the same version. If several contain a row, the first one's
        is reused.
    columns : sequence of str
        Columns of the table.
    """
    spark = rows.wanted.sparkSession
    marked = _mark(rows.wanted, _stored_keys(rows, stored), rows.same).persist()
    try:
        found = _count(marked, len(stored))
        files = [
            worth_keeping([name for name, file in each.items() if file.kept == file.rows], parts.sizes)
            for each, parts in zip(found.files, stored, strict=True)
        ]
        pending = PendingRows(
            marked.where("pending").select("fileName"), sorted(found.pending), sum(found.pending.values())
        )
        kept = sum(file.kept for files in found.files for file in files.values())
        gone = sum(file.gone for file in found.files[0].values())
        partly_kept = {
            f"{parts.uri}/{name}": parts.sizes[name]
            for each, parts, taken in zip(found.files, stored, files, strict=True)
            for name, file in each.items()
            if file.kept and name not in taken
        }
        yield ReusePlan(files, _rows_of(spark, partly_kept, marked, columns), pending, kept, gone)
    finally:
        marked.unpersist()


def worth_keeping(names: Sequence[str], sizes: Mapping[str, int], many: int = 0) -> list[str]:
    """Return files to be reused unchanged, without the small ones if there are many.

    Otherwise the number of files would grow with every run that adds a few images.

    Parameters
    ----------
    names : sequence of str
    sizes : mapping
        Name to size in bytes.
    many : int
        More small files than this are many, if it is larger than the default.
    """
    small = {name for name in names if sizes[name] < _SMALL_FILE}
    return sorted(set(names) - small if len(small) > max(many, _MANY_SMALL_FILES) else names)


def select_pending(table: DataFrame, pending: PendingRows) -> DataFrame:
    """Return the pending rows of a stored Parquet table; only files that contain any are read.

    Parameters
    ----------
    table : DataFrame
    pending : PendingRows
        With sources from `with_file_path`.
    """
    files = [escape_glob(unquote(source)) for source in pending.sources]
    read = table.sparkSession.read.schema(table.schema).parquet(*files)
    return read.join(F.broadcast(pending.keys), "fileName", "left_semi").select(table.columns)


def with_file_path(table: DataFrame, *columns: str) -> DataFrame:
    """Return ``fileName``, ``digest``, other columns and ``source`` (the file) of a stored Parquet table."""
    return table.select("fileName", "digest", *columns, F.col("_metadata.file_path").alias("source"))


def _stored_keys(rows: PerImageTable, stored: Sequence[StoredParts]) -> DataFrame:
    spark, wanted = rows.wanted.sparkSession, rows.wanted.schema
    compared = [StructField(there, wanted[here].dataType) for here, there in rows.same.items()]
    schema = StructType([wanted["fileName"], wanted["digest"], *compared])
    stored_values = [F.col(there).alias(here) for here, there in rows.same.items()]
    tables = []
    for rank, parts in enumerate(stored):
        files = [escape_glob(f"{parts.uri}/{name}") for name in parts.sizes]
        table = (
            spark.read.schema(schema)
            .parquet(*files)
            .select(
                "fileName",
                F.struct(F.col("digest"), *stored_values).alias("stored"),
                F.lit(rank).alias("rank"),
                F.col("_metadata.file_name").alias("file"),
            )
        )
        tables.append(table if parts.usable is None else _forget_others(table, parts.usable))
    return reduce(DataFrame.union, tables)


def _forget_others(stored: DataFrame, usable: DataFrame) -> DataFrame:
    """Make rows differ from all that is wanted, except those of usable images."""
    is_usable = usable.select("fileName", F.lit(True).alias("isUsable"))
    return stored.join(is_usable, "fileName", "left").select(
        "fileName", F.expr("if(isUsable, stored, null)").alias("stored"), "rank", "file"
    )


def _mark(wanted: DataFrame, stored: DataFrame, same: Mapping[str, str]) -> DataFrame:
    """Join on the file name; the first row of a name decides what becomes of the image."""
    best_first = Window.partitionBy("fileName").orderBy(F.desc_nulls_last("same"), "rank", "file")
    joined = wanted.join(stored, "fileName", "full").withColumn(
        "same", F.struct("digest", *same).eqNullSafe(F.col("stored"))
    )
    return joined.withColumn("first", F.row_number().over(best_first) == 1).selectExpr(
        "fileName",
        "source",
        "rank",
        "file",
        "first and same as kept",
        "first and not same and digest is not null as pending",
        "digest is null as gone",
    )


def _count(marked: DataFrame, tables: int) -> _Counted:
    found = _Counted([{} for _ in range(tables)])
    counted = marked.groupBy("rank", "file", F.expr("if(pending, source, null)").alias("source")).agg(
        F.count("*"), F.count_if("kept"), F.count_if("gone")
    )
    for rank, name, source, rows, kept, gone in counted.collect():
        if source is not None:
            found.pending[source] = found.pending.get(source, 0) + rows
        if rank is not None:
            file = found.files[rank].setdefault(name, _File())
            file.rows += rows
            file.kept += kept
            file.gone += gone
    return found


def _rows_of(
    spark: SparkSession, files: Mapping[str, int], marked: DataFrame, columns: Sequence[str]
) -> DataFrame | None:
    if not files:
        return None
    stored = spark.read.parquet(*map(escape_glob, files))
    keys = marked.where("kept").selectExpr("fileName", "file")
    rows = stored.withColumn("file", F.col("_metadata.file_name"))
    kept = rows.join(F.broadcast(keys), ["fileName", "file"], "left_semi").select(*columns)
    return kept.coalesce(-(-sum(files.values()) // _FILE_BYTES))
