"""IO managers: each output of an asset becomes a snapshot, each input is read from one."""

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import PrivateAttr
from pyspark.sql import DataFrame

from vision_assets.defs.failures import failures
from vision_assets.defs.metadata import PICTURE, materialization_metadata
from vision_assets.defs.source_checks import PAGES_FIRST, SKIPPED_FIRST
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.redaction import redact, redact_values
from vision_assets.snapshots.files import open_files
from vision_assets.snapshots.manifests import changes_of
from vision_assets.snapshots.store import PendingSnapshot, ReadLease, Snapshot, SnapshotStore
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.jvm import hadoop_of
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps import image_index
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.incremental import (
    ProgressReporter,
    ReusableTable,
    WriteResult,
    write_all,
    write_images,
    write_rows,
)
from vision_assets.steps.skipped_files import counts_of, unused_pages
from vision_assets.steps.sources.image_files import MAX_EXAMPLES, ImageFiles
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.storing import Run, store_table
from vision_assets.steps.up_to_date import KeptTable
from vision_assets.tables.per_image import PerImageTable
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, Classifier, classifier_to_npz


class SnapshotIOManager(dg.ConfigurableIOManager):
    """Writes each materialization as a snapshot of its own and makes it current once it is complete."""

    pyspark: dg.ResourceDependency[LazyPySparkResource]
    data_folder: dg.ResourceDependency[TableStoreResource]

    # What this run reads, and so must not be removed before the run ends.
    _leases: list[ReadLease] = PrivateAttr(default_factory=list)

    @abstractmethod
    def write(
        self,
        content: Any,
        spec: StepSpec,
        pending: PendingSnapshot,
        made: Sequence[ReusableTable],
        progress: ProgressReporter,
    ) -> WriteResult:
        """Write a table to the folder of a pending snapshot; rows may be reused from those already `made`."""

    def row_settings(self, content: Any) -> Mapping[str, Any] | None:
        """Return what a row depends on besides its image and the inputs; None without a row per image."""
        return None

    def resolved_settings(self, content: Any) -> Mapping[str, Any]:
        """Return settings that the configuration of the run leaves open, as they were resolved."""
        return {}

    def load_input(self, context: dg.InputContext) -> Any:
        """Return an upstream table: the snapshot that this run made, else the current one.

        It is a `StoredTable`, unless the input is annotated as a DataFrame, an ImageStore or a Classifier.
        """
        store = self.data_folder.store
        with failures():
            table = StoredTable(self.pyspark.spark_session, store, self._lease(store, context))
            table.require_complete()
            context.log.info(f"reading {table.snapshot.folder}")
            return table.as_type(context.dagster_type.typing_type)

    def _lease(self, store: SnapshotStore, context: dg.InputContext) -> Snapshot:
        """Choose the snapshot to read; the lease also keeps what the snapshot was made from."""
        asset, run_id = (context.asset_key.path[-1],), _run_id(context)
        leased = store.lease(lambda: store.of_run(asset, run_id) or store.require_current(asset), run_id)
        assert leased  # noqa: S101 - there is one, or an error
        snapshot, lease = leased
        self._leases.append(lease)
        return snapshot

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table, verify what must hold for it, and make it current.

        An asset of this project returns a `NewTable`, or a `KeptTable` for which there is nothing to write.
        Other content is stored as made from nothing.
        """
        with failures():  # all of it, as in `step_asset`
            self._handle(context, obj)

    def _handle(self, context: dg.OutputContext, obj: Any) -> None:
        spec = SPECS[context.asset_key.path[-1]]
        new = obj if isinstance(obj, NewTable | KeptTable) else NewTable(obj)
        stored, details = (new, {}) if isinstance(new, KeptTable) else self._store(context, spec, new)
        if isinstance(stored, KeptTable):
            table, line = stored.table, stored.reason
            details = _details_of_kept(context, spec, table.snapshot, details)
            is_drawn = any(name.startswith(PICTURE) for name in details)
        else:
            table, line, is_drawn = stored, _size(spec, stored.snapshot), False
        _set_data_version(context, table.snapshot)
        context.log.info(line)
        if text := spec.warn(table.snapshot.counts):
            context.log.warning(text)
        if (draw := spec.draw) and not is_drawn:
            details = {**self.data_folder.render_pictures(lambda: draw(table)), **details}
        context.add_output_metadata(materialization_metadata(spec, table.snapshot, details))
        self._prune(context, table.snapshot)

    def _store(
        self, context: dg.OutputContext, spec: StepSpec, new: NewTable
    ) -> tuple[StoredTable | KeptTable, dict[str, Any]]:
        config = {**_config(context), **self.resolved_settings(new.content)}
        stored, written = store_table(
            spec,
            new,
            self.row_settings(new.content),
            new.content.earlier if isinstance(new.content, PerImageTable) else (),
            lambda pending, made, progress: self.write(new.content, spec, pending, made, progress),
            self.pyspark.spark_session,
            self.data_folder.store,
            Run(context.run_id, config, _started(context), context.log.info),
        )
        return stored, {**new.metadata, **written}

    def _prune(self, context: dg.OutputContext, snapshot: Snapshot) -> None:
        try:
            removed = self.data_folder.store.prune(snapshot.asset_path, self.data_folder.keep_snapshots)
        except Exception as error:  # noqa: BLE001 - the table is stored, whatever the clean-up meets
            context.log.warning(
                f"old snapshots of {snapshot.asset} could not be removed: {redact(diagnose(error).text)}"
            )
        else:
            if removed:
                context.log.info(f"removed old snapshots: {', '.join(removed)}")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Release the snapshots that this run has read, however it ended."""
        while self._leases:
            with suppress(Exception):  # a lease that stays keeps a snapshot longer, nothing more
                self.data_folder.store.discard(self._leases.pop())


class ParquetIOManager(SnapshotIOManager):
    """Snapshots in Parquet, for assets that are DataFrames or have one row per image."""

    def write(
        self,
        content: DataFrame | MappedRows | PerImageTable,
        spec: StepSpec,
        pending: PendingSnapshot,
        made: Sequence[ReusableTable],
        progress: ProgressReporter,
    ) -> WriteResult:
        """Write all rows, or those that are not stored yet."""
        if isinstance(content, PerImageTable):
            return write_rows(content, self.data_folder.store, pending, spec.table, made, progress)
        with progress(None):
            return write_all(content, pending, spec.table)

    def row_settings(self, content: DataFrame | MappedRows | PerImageTable) -> Mapping[str, Any] | None:
        """Return what a row depends on besides its image and the inputs; None without a row per image."""
        return content.settings if isinstance(content, PerImageTable) else None


class SequenceFileIOManager(SnapshotIOManager):
    """Snapshots in SequenceFiles of file names and bytes, for the images."""

    def write(
        self,
        content: ImageFiles,
        spec: StepSpec,
        pending: PendingSnapshot,
        made: Sequence[ReusableTable],
        progress: ProgressReporter,
    ) -> WriteResult:
        """Write the images of a source and list what was skipped."""
        session, store = self.pyspark.spark_session, self.data_folder.store
        with content:
            written, skipped = write_images(session, content, store, pending, made, progress)
        records = [dg.TableRecord({"name": name, "reason": reason}) for name, reason in skipped.examples]
        counts = counts_of(skipped)
        metadata = written.metadata | counts
        metadata |= {SKIPPED_FIRST: dg.MetadataValue.table(records)} if records else {}
        return written._replace(metadata=metadata, counts=counts)

    def _store(
        self, context: dg.OutputContext, spec: StepSpec, new: NewTable
    ) -> tuple[StoredTable | KeptTable, dict[str, Any]]:
        stored, details = super()._store(context, spec, new)
        table = stored.table if isinstance(stored, KeptTable) else stored
        if unused_pages(table.snapshot.counts):
            first = image_index.files_with_pages(table.rows, MAX_EXAMPLES)
            records = [dg.TableRecord({"name": name, "pages": pages}) for name, pages in first]
            details[PAGES_FIRST] = dg.MetadataValue.table(records)
        return stored, details

    def row_settings(self, content: ImageFiles) -> Mapping[str, Any]:
        """Return where the images come from, and whether all pages do."""
        # Not `first`: rows of earlier releases, which knew no other value, are reused.
        return {**self.resolved_settings(content), **({"pages": "all"} if content.every_page else {})}

    def resolved_settings(self, content: ImageFiles) -> Mapping[str, Any]:
        """Return where the images come from."""
        return {"source": redact(content.source)}


class ClassifierIOManager(SnapshotIOManager):
    """Snapshots of one ``.npz`` file, for classifiers."""

    def write(
        self,
        content: Classifier,
        spec: StepSpec,
        pending: PendingSnapshot,
        made: Sequence[ReusableTable],
        progress: ProgressReporter,
    ) -> WriteResult:
        """Write a classifier."""
        files = open_files(pending.uri, lambda: hadoop_of(self.pyspark.spark_session))
        files.create(CLASSIFIER_FILE, classifier_to_npz(content))
        return WriteResult({})


def _set_data_version(context: dg.OutputContext, snapshot: Snapshot) -> None:
    """Make Dagster compare what the asset contains, not which run made it."""
    with suppress(dg.DagsterInvariantViolationError):  # a context that a test has built
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(snapshot.version))


def _run_id(context: dg.InputContext) -> str:
    try:
        return context.step_context.run_id
    except dg.DagsterInvariantViolationError:  # a context that a test has built
        return ""


def _config(context: dg.OutputContext) -> dict[str, Any]:
    """Return the configuration of the asset, as it may be stored and shown."""
    try:
        return redact_values(context.step_context.op_config or {})
    except dg.DagsterInvariantViolationError:
        return {}


def _started(context: dg.OutputContext) -> float:
    """Return when the step started; its IO manager does most of the work of an asset, but not all."""
    try:
        stats = context.step_context.instance.get_run_step_stats(context.run_id, [context.step_key])
        return stats[0].start_time or time.time()
    except (dg.DagsterInvariantViolationError, IndexError):
        return time.time()


def _size(spec: StepSpec, snapshot: Snapshot) -> str:
    changes = f" ({changes})" if (changes := changes_of(snapshot)) else ""
    return (
        f"{snapshot.rows:,} {spec.table.row_noun}{changes}, {snapshot.bytes / 1e6:,.1f} MB, "
        f"{snapshot.seconds:.1f} s"
    )


def _details_of_kept(
    context: dg.OutputContext, spec: StepSpec, snapshot: Snapshot, found: dict[str, Any]
) -> dict[str, Any]:
    """Return what was known when a table was made, its pictures too, if Dagster's history still has it.

    What this run has found out about the source of images wins over what is known.
    """
    event = context.step_context.instance.get_latest_materialization_event(context.asset_key)
    made = event.asset_materialization if event else None
    known: dict[str, Any] = dict(made.metadata) if made else {}
    if "snapshot" not in known or known["snapshot"].value != snapshot.name:
        known = {}
    if found:
        return {name: value for name, value in known.items() if name.startswith(PICTURE)} | found
    if spec.table.is_per_image:
        known |= {"reused": snapshot.rows, spec.table.computed: 0, "dropped": 0}
    return known
