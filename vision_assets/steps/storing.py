"""Storing what a step has made: written as a snapshot, verified, and made current in one atomic step."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UnusableError
from vision_assets.snapshots.checkpoints import Checkpoint
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.snapshots.store import PendingSnapshot, Snapshot, SnapshotStore
from vision_assets.snapshots.versions import digest, version_of
from vision_assets.spark import progress
from vision_assets.spark.worker_files import rows_written
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.incremental import ProgressReporter, ReusableTable, WriteResult, reusable
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable, read_rows
from vision_assets.steps.up_to_date import KeptTable, reason_unchanged
from vision_assets.tables import verification
from vision_assets.tables.per_image import EarlierRows
from vision_assets.tables.table import SAME_IMAGES, UNIQUE_KEYS
from vision_assets.uris import hadoop_uri

Writer = Callable[[PendingSnapshot, Sequence[ReusableTable], ProgressReporter], WriteResult]
"""Writes a table to the folder of a pending snapshot; rows may be reused from earlier tables."""


@dataclass(frozen=True)
class Run:
    """The run that stores a table.

    Parameters
    ----------
    id : str
    config : mapping
        Configuration of the asset, without secrets.
    started : float
        When the asset started, in seconds since 1970.
    log : callable
        Takes a line.
    """

    id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    log: Callable[[str], None] = lambda _: None


def store_table(
    spec: StepSpec,
    new: NewTable,
    row_settings: Mapping[str, Any] | None,
    earlier: Sequence[EarlierRows],
    write: Writer,
    spark: SparkSession,
    store: SnapshotStore,
    run: Run,
) -> tuple[StoredTable | KeptTable, dict[str, Any]]:
    """Write a table, verify what must hold for it, and make it current.

    Parameters
    ----------
    spec : StepSpec
    new : NewTable
    row_settings : mapping, optional
        Everything that a row depends on besides its image and the inputs; None for a table without a row per
        image.
    earlier : sequence of EarlierRows
        Rows of earlier releases that may be reused.
    write : callable
    spark : SparkSession
    store : SnapshotStore
    run : Run

    Returns
    -------
    StoredTable or KeptTable
        A kept one if the stored images are those of the source.
    dict
        Metadata that only writing the table tells.

    Raises
    ------
    UserError
        If an invariant is violated, or the table cannot be written. The snapshot before stays current.
    """
    inputs = {table.asset: table.snapshot for table in new.inputs}
    row_inputs = _row_inputs(spec, inputs)
    row_version = "" if row_settings is None else version_of(spec.code_version, row_settings, row_inputs)
    usable = {version_of(spec.code_version, rows.settings, row_inputs): rows.usable for rows in earlier}
    names = {asset: snapshot.name for asset, snapshot in inputs.items()}
    pending = store.begin((spec.asset,), run.id, names, row_version, new.fingerprint)
    try:
        written = _write(spec, write, usable, pending, spark, store, run)
        if written.kept:
            store.discard(pending)
            table = StoredTable(spark, store, written.kept)
            return KeptTable(table, reason_unchanged(written.kept)), written.metadata
        settings = row_settings or spec.table_settings(run.config)
        version = version_of(spec.code_version, settings, _versions(inputs))
        counts = {**new.counts, **written.counts}
        snapshot = _verify_and_commit(spec, pending, written, counts, version, spark, store, run)
    except BaseException as error:
        if pending.row_version and not isinstance(error, UnusableError):
            store.abandon(pending)
        else:
            store.discard(pending)
        raise
    return StoredTable(spark, store, snapshot), written.metadata


def _write(
    spec: StepSpec,
    write: Writer,
    usable: Mapping[str, Callable[[], DataFrame] | None],
    pending: PendingSnapshot,
    spark: SparkSession,
    store: SnapshotStore,
    run: Run,
) -> WriteResult:
    upstream = _upstream(spec, pending, store)

    def reporting(rows: int | None) -> AbstractContextManager[None]:
        expected = upstream.rows if rows is None and upstream else rows
        count_written = partial(rows_written, pending.uri)
        return progress.reporting(spark, spec.table.row_noun, expected, run.log, spec.asset, count_written)

    refresh = not pending.row_version or run.config.get("full_refresh", False)
    with ExitStack() as stack:
        made = [] if refresh else stack.enter_context(reusable(store, pending, run.id, usable))
        return write(pending, made, reporting)


def _verify_and_commit(
    spec: StepSpec,
    pending: PendingSnapshot,
    written: WriteResult,
    counts: Mapping[str, float],
    version: str,
    spark: SparkSession,
    store: SnapshotStore,
    run: Run,
) -> Snapshot:
    table = spec.table
    upstream = _upstream(spec, pending, store)
    rows = read_rows(spec, spark, hadoop_uri(pending.uri))
    summary = verification.summarize(table, rows, upstream, run.config, written.observed)
    if upstream and not summary.check_results.get(SAME_IMAGES, True):
        _require_undamaged(StoredTable(spark, store, upstream), rows)
    _require_sound(spec, summary, rows)
    return store.commit(
        pending,
        run_id=run.id,
        code_version=spec.code_version,
        config=dict(run.config),
        counts=summary.counts | dict(counts),
        check_results=summary.check_results,
        keys=summary.keys,
        images=summary.images,
        version=_version_of_content(spec, summary, version),
        changes=written.changes,
        rows=summary.rows,
        seconds=round(time.time() - max(run.started, spark.sparkContext.startTime / 1000), 3),
    )


def _version_of_content(spec: StepSpec, summary: verification.Summary, version: str) -> str:
    if spec.table.holds_images:
        return digest(summary.images)
    return digest(summary.content if spec.table.content_is_all else [version, summary.content])


def _upstream(spec: StepSpec, pending: PendingSnapshot, store: SnapshotStore) -> Snapshot | None:
    asset = spec.table.same_keys_as
    return store.input_of(pending, (asset,)) if asset else None


def _require_undamaged(upstream: StoredTable, rows: DataFrame) -> None:
    """Raise a `UserError` if bits of stored images have flipped: a SequenceFile has no checksums."""
    if not upstream.spec.table.holds_images:
        return
    if changed := verification.changed_images(upstream.rows, rows):
        part = changed[0][1]
        names = ", ".join(repr(name) for name, other in changed if other == part)
        raise damaged_file(
            f"{upstream.snapshot.uri}/{part}", f"contains other bytes of {names} than were stored"
        )


def _require_sound(spec: StepSpec, summary: verification.Summary, rows: DataFrame) -> None:
    violated = [name for name, passed in summary.check_results.items() if not passed]
    if not violated:
        return
    detail = ""
    if UNIQUE_KEYS in violated:
        keys = ", ".join(map(repr, verification.duplicate_keys(spec.table, rows)))
        detail = f" (more than once: {keys}; rename them in the source)"
    raise UnusableError(
        f"{spec.asset} was not stored because it violates {', '.join(violated)}{detail}. "
        "The previous snapshot stays current."
    )


def checkpoint_of(spec: StepSpec, settings: Mapping[str, Any], *inputs: StoredTable) -> Checkpoint:
    """Return the checkpoint of a long computation: of an asset with these settings, from these inputs."""
    versions = _versions({table.asset: table.snapshot for table in inputs})
    store = inputs[0].store
    return store.checkpoint((spec.asset,), version_of(spec.code_version, settings, versions))


def _versions(inputs: Mapping[str, Snapshot]) -> dict[str, str]:
    return {asset: snapshot.identity for asset, snapshot in inputs.items()}


def _row_inputs(spec: StepSpec, inputs: Mapping[str, Snapshot]) -> dict[str, str]:
    """Return the versions of what a row depends on besides its image.

    For a table of rows, that is what its row depends on.
    """
    versions = _versions(inputs)
    if rows := spec.table.same_keys_as:
        # The digest of an image tells everything that its row depends on.
        is_digest = SPECS[rows].table.holds_images
        versions[rows] = "" if is_digest else inputs[rows].row_version or inputs[rows].name
    return versions
