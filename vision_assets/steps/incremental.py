"""Writing of tables with one row per image; rows that are stored, or that a dead run left, are reused."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from pyspark.sql import DataFrame, SparkSession

from vision_assets.snapshots.store import Leftover, PendingSnapshot, Snapshot, SnapshotStore
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps import image_index, image_writer
from vision_assets.steps.image_reuse import ImagePlan, plan_images
from vision_assets.steps.sources.image_files import ImageFiles, Skipped
from vision_assets.tables.parquet import read_parquet, write_by_workers, write_parquet
from vision_assets.tables.per_image import PerImageTable, ReusePlan, StoredParts, plan_reuse
from vision_assets.tables.table import Table
from vision_assets.tables.verification import add_up, count, observe
from vision_assets.uris import hadoop_uri

ProgressReporter = Callable[[int | None], AbstractContextManager[None]]
"""Reports progress while so many rows are written."""

_Stored = tuple[Snapshot | Leftover, StoredParts]


class ReusableTable(NamedTuple):
    """A table that is stored, or that a dead run has left.

    Attributes
    ----------
    table : Snapshot or Leftover
    usable : callable, optional
        Returns the column ``fileName``: the only images whose rows may be reused. None allows all.
    """

    table: Snapshot | Leftover
    usable: Callable[[], DataFrame] | None = None


class WriteResult(NamedTuple):
    """What only writing a table tells about it.

    Attributes
    ----------
    metadata : dict
        Metadata of the materialization.
    observed : dict, optional
        Counts and invariants of the rows; None if the rows must be read for that.
    kept : Snapshot, optional
        What is stored already and was therefore not written again.
    counts : mapping
        Figures to be stored besides those that the declaration of the table counts.
    """

    metadata: dict[str, Any]
    observed: dict[str, Any] | None = None
    kept: Snapshot | None = None
    counts: Mapping[str, int] = MappingProxyType({})

    @property
    def changes(self) -> dict[str, int]:
        """How many rows were reused, computed and dropped: the numbers of the metadata."""
        return {
            name: number
            for name, number in self.metadata.items()
            if isinstance(number, int) and ":" not in name  # not the reasons why files were skipped
        }


@contextmanager
def reusable(
    store: SnapshotStore,
    pending: PendingSnapshot,
    run_id: str,
    earlier: Mapping[str, Callable[[], DataFrame] | None] = MappingProxyType({}),
) -> Iterator[list[ReusableTable]]:
    """Lease the tables whose rows can be reused: the current snapshot, and leftovers of dead runs.

    The leftovers are removed at the end, because the new table then contains what was usable in them.

    Parameters
    ----------
    store : SnapshotStore
    pending : PendingSnapshot
    run_id : str
    earlier : mapping
        Row version of an earlier release to `ReusableTable.usable`, for the current snapshot.
    """
    asset, version = pending.asset, pending.row_version
    with ExitStack() as leases:
        if leased := store.lease(lambda: store.current(asset), run_id):
            leases.callback(store.discard, leased[1])
        left = store.lease_leftovers(asset, version, run_id)
        for _, lease in left:
            leases.callback(store.discard, lease)
        usable = {**earlier, version: None}
        stored = [leased[0]] if leased and leased[0].row_version in usable else []
        yield [
            *(ReusableTable(one, usable[one.row_version]) for one in stored),
            *(ReusableTable(one) for one, _ in left),
        ]
    for one, _ in left:
        store.discard_leftover(one)


def write_rows(
    value: PerImageTable,
    store: SnapshotStore,
    pending: PendingSnapshot,
    table: Table,
    made: Sequence[ReusableTable],
    progress: ProgressReporter,
) -> WriteResult:
    """Write a Parquet table.

    Parameters
    ----------
    value : PerImageTable
    store : SnapshotStore
    pending : PendingSnapshot
    table : Table
    made : sequence of ReusableTable
    progress : callable

    Returns
    -------
    WriteResult
    """
    stored = _stored(store, made)
    if not stored:
        with progress(None):
            new = _write(value.compute(None), pending, table)
        return WriteResult({"reused": 0, table.computed: new.rows, "dropped": 0}, new.observed)
    with plan_reuse(value, [parts for _, parts in stored], table.schema.names) as plan:
        for (one, _), names in zip(stored, plan.files, strict=True):
            store.take_over(one, {name: name for name in names}, pending)
        with progress(plan.pending.rows):
            written = [_write(rows, pending, table) for rows in _to_write(value, plan)]
        metadata = {"reused": plan.reused, table.computed: plan.pending.rows, "dropped": plan.dropped}
        spark, uri = value.wanted.sparkSession, hadoop_uri(pending.uri)
        reused = _counted(spark, table, stored, plan)
        figures = [rows.figures(spark, table, uri) for rows in written]
        return WriteResult(metadata, add_up(table, [*reused, *figures]))


def _to_write(value: PerImageTable, plan: ReusePlan) -> Iterator[DataFrame | MappedRows]:
    if plan.pending.rows:
        yield value.compute(plan.pending)
    if plan.rows is not None:
        yield plan.rows


class _NewRows(NamedTuple):
    """Rows that have just been written: counts and invariants, or the files that these can be read from."""

    rows: int
    observed: dict[str, Any] | None
    files: Sequence[str] = ()

    def figures(self, spark: SparkSession, table: Table, uri: str) -> dict[str, Any]:
        """Return counts and invariants."""
        if self.observed is not None:
            return self.observed
        return count(table, read_parquet(spark, *[f"{uri}/{name}" for name in self.files]), sound=False)


def _write(rows: DataFrame | MappedRows, pending: PendingSnapshot, table: Table) -> _NewRows:
    """Write rows to Parquet, beside the reused files."""
    if isinstance(rows, MappedRows):
        files = write_by_workers(rows, table, hadoop_uri(pending.uri))
        if files is not None:
            return _NewRows(sum(file.rows for file in files), None, [file.name for file in files])
        rows = rows.to_frame()
    observed = write_observed(rows, pending, table)
    return _NewRows(observed["images"], observed)


def _counted(
    spark: SparkSession, table: Table, stored: Sequence[_Stored], plan: ReusePlan
) -> Iterator[dict[str, Any]]:
    """Count the files that are reused unchanged, and verify those of runs that did not end."""
    for (one, parts), names in zip(stored, plan.files, strict=True):
        sound = isinstance(one, Snapshot)
        # Manifests of earlier releases may lack a count.
        is_counted = isinstance(one, Snapshot) and one.counts.keys() >= table.counts.keys()
        if isinstance(one, Snapshot) and is_counted and len(names) == len(parts.sizes) == one.files:
            yield one.counts
        elif names:
            yield count(table, read_parquet(spark, *[f"{parts.uri}/{name}" for name in names]), sound=sound)


def write_all(rows: DataFrame | MappedRows, pending: PendingSnapshot, table: Table) -> WriteResult:
    """Write a Parquet table of rows that are all new."""
    if isinstance(rows, MappedRows):
        return WriteResult({}, _write(rows, pending, table).observed)
    if table.is_counted_while_written:
        return WriteResult({}, write_observed(rows, pending, table))
    write_parquet(rows, table, hadoop_uri(pending.uri))
    return WriteResult({})


def write_observed(rows: DataFrame, pending: PendingSnapshot, table: Table) -> dict[str, Any]:
    """Write rows to Parquet, beside the reused files, and return their counts and invariants."""
    observed_rows, observation = observe(table, rows)
    write_parquet(observed_rows, table, hadoop_uri(pending.uri))
    return observation.get


def write_images(
    spark: SparkSession,
    images: ImageFiles,
    store: SnapshotStore,
    pending: PendingSnapshot,
    made: Sequence[ReusableTable],
    progress: ProgressReporter,
) -> tuple[WriteResult, Skipped]:
    """Write images to a SequenceFile, and their index.

    Parameters
    ----------
    spark : SparkSession
    images : ImageFiles
    store : SnapshotStore
    pending : PendingSnapshot
    made : sequence of ReusableTable
        Tables whose part files may be reused, if all images in them are unchanged in the source.
    progress : callable

    Returns
    -------
    WriteResult
    Skipped
        What was not read from the source.
    """
    uri = hadoop_uri(pending.uri)
    # An incomplete index does not tell what it lacks.
    stored = _stored(
        store, [one for one in made if isinstance(one.table, Leftover) or not store.damage(one.table)]
    )
    skipped, found = images.skipped, image_writer.SequenceFileReport(0, Skipped())
    parts, reused, dropped = [list[str]() for _ in stored], 0, 0
    if images.listed:
        stamps = images.listed.stamps()
        image_index.write_stamps(spark, uri, stamps)
        plan = plan_images(spark, stamps, [folder for _, folder in stored], every_page=images.every_page)
        parts, reused, dropped = plan.parts, plan.reused, plan.dropped
        if kept := _unchanged(stored, plan, pending):
            return WriteResult({"reused": reused, "read": 0, "dropped": 0}, kept=kept), skipped
        if reused:
            images = replace(images.listed.select(plan.unread), every_page=images.every_page)
    if images.count != 0:
        with progress(None if images.every_page else images.count):
            found = image_writer.write(spark, images, uri)
        skipped = found.skipped
    indexed: dict[str, dict[str, str]] = {}
    for (one, folder), names in zip(stored, parts, strict=True):
        # Part files of several runs have the same names.
        renamed = {name: f"part-{secrets.token_hex(8)}" for name in names}
        store.take_over(one, renamed, pending)
        if isinstance(one, Snapshot):
            indexed[folder.uri] = renamed
    old = {name for renamed in indexed.values() for name in renamed.values()}
    new = [name for name in store.parts(pending) if name not in old]
    # Nothing is known yet of the pages in what dead runs have left.
    is_left = any(names and isinstance(one, Leftover) for (one, _), names in zip(stored, parts, strict=True))
    image_index.write(
        spark, uri, new, indexed, every_page=images.every_page, has_pages=found.has_pages or is_left
    )
    return WriteResult({"reused": reused, "read": found.count, "dropped": dropped}), skipped


def _unchanged(stored: Sequence[_Stored], plan: ImagePlan, pending: PendingSnapshot) -> Snapshot | None:
    """Return the current snapshot if it has the images of the source, no others, and was made as this one."""
    one, folder = stored[0] if stored else (None, None)
    if not isinstance(one, Snapshot) or not folder or one.fingerprint != pending.fingerprint:
        return None
    is_all = not plan.dropped and not plan.unread.any() and set(plan.parts[0]) == folder.sizes.keys()
    return one if is_all and pending.fingerprint else None


def _stored(store: SnapshotStore, made: Sequence[ReusableTable]) -> list[_Stored]:
    sizes = [store.parts(one.table) for one in made]
    return [
        (one.table, StoredParts(hadoop_uri(one.table.uri), parts, one.usable and one.usable()))
        for one, parts in zip(made, sizes, strict=True)
        if parts
    ]
