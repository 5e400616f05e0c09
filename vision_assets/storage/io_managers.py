"""IO managers: each output of an asset becomes a snapshot, each input is read from one."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from typing import Any, ClassVar

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import PrivateAttr
from pyspark.sql import DataFrame

from vision_assets.chains import CHAIN_OF
from vision_assets.errors import UnusableError, UserError, redact
from vision_assets.failures import failures
from vision_assets.spark import progress, tables
from vision_assets.spark.causes import find_cause
from vision_assets.spark.row_wise import RowWise
from vision_assets.spark.sources import ImageFiles
from vision_assets.spark.stored_tables import (
    StoredImages,
    read_classifier,
    read_parquet,
    stored_rows,
)
from vision_assets.storage.checkpoints import Checkpoint
from vision_assets.storage.files import hadoop_uri, open_files
from vision_assets.storage.incremental import (
    Made,
    Progress,
    Written,
    reusable,
    write_images,
    write_observed,
    write_rows,
)
from vision_assets.storage.manifests import damaged_file
from vision_assets.storage.pictures import pictures_of
from vision_assets.storage.snapshots import AssetPath, Snapshot, SnapshotStore, Staged
from vision_assets.storage.versions import digest, version_of
from vision_assets.vision.classifier import CLASSIFIER_FILE, Classifier, classifier_to_npz
from vision_assets.vision.drawing import Picture

LINEAGE_OF = "lineage_of"
"""Metadata of an asset's input: read the snapshot from which the current one of this other input was made."""


class DataFolder(dg.ConfigurableResource):
    """The folder or URI that all tables lie under."""

    pyspark: dg.ResourceDependency[LazyPySparkResource]
    uri: str
    keep_snapshots: int
    pictures: bool

    # What a step has read, for the manifest of what it writes, and what is kept for it: it may read through
    # one IO manager and write through another.
    _reads: ClassVar[dict[tuple[str, str], dict[str, Snapshot]]] = {}
    _held: ClassVar[dict[tuple[str, str], dict[AssetPath, Snapshot]]] = {}

    @property
    def store(self) -> SnapshotStore:
        """The snapshots in this folder."""
        return SnapshotStore(open_files(self.uri, lambda: self.pyspark.spark_session))

    def reads(self, run_id: str, step: str) -> dict[str, Snapshot]:
        """Return what a step of a run has read: asset to snapshot."""
        return self._reads.setdefault((run_id, step), {})

    def held(self, run_id: str, step: str) -> dict[AssetPath, Snapshot]:
        """Return the snapshots that are kept from being removed while a step of a run goes on."""
        return self._held.setdefault((run_id, step), {})

    def forget(self, run_id: str) -> None:
        """Forget what the steps of a run have read."""
        for steps in (self._reads, self._held):
            for key in [key for key in steps if key[0] == run_id]:
                steps.pop(key, None)

    def checkpoint(self, context: dg.AssetExecutionContext, settings: Mapping[str, Any]) -> Checkpoint:
        """Return how far the computation of an asset with these settings, from what was read, has come."""
        key = context.asset_key
        inputs = self.reads(context.run.run_id, key.to_python_identifier())
        code_version = context.assets_def.specs_by_key[key].code_version or ""
        return self.store.checkpoint(tuple(key.path), version_of(code_version, settings, _versions(inputs)))

    def drawn(self, draw: Callable[[], Mapping[str, Picture]]) -> dict[str, dg.MetadataValue]:
        """Return pictures as metadata; none if they are switched off, or cannot be drawn.

        Parameters
        ----------
        draw : callable
            Returns name to picture.
        """
        try:
            pictures = draw() if self.pictures else {}
        except Exception as error:  # noqa: BLE001 - the table is worth storing without pictures of it
            dg.get_dagster_logger().warning(f"the pictures could not be drawn: {redact(str(error))}")
            return {}
        return {f"picture_{name}": dg.MetadataValue.md(pic.markdown()) for name, pic in pictures.items()}


class SnapshotIOManager(dg.ConfigurableIOManager):
    """Writes each materialization as a snapshot of its own and makes it current once it is whole."""

    pyspark: dg.ResourceDependency[LazyPySparkResource]
    data_folder: dg.ResourceDependency[DataFolder]

    _holds: list[Staged] = PrivateAttr(default_factory=list)

    @abstractmethod
    def write(
        self, value: Any, staged: Staged, table: tables.Table, made: Sequence[Made], progress: Progress
    ) -> Written:
        """Write a table to the folder of a snapshot; rows may be taken over from what is `made` already."""

    @abstractmethod
    def read(self, uri: str) -> Any:
        """Return a stored table as an asset takes it."""

    def row_settings(self, value: Any) -> Mapping[str, Any] | None:
        """Return all that a row depends on besides its image and the inputs; None without a row per image."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Return an upstream table: the snapshot that this run made, else the current one.

        With ``LINEAGE_OF`` in the input's metadata it is the one that another upstream table was made from.
        """
        store = self.data_folder.store
        run_id, step = _run_and_step(context)
        with failures():
            asset = tuple(context.asset_key.path)
            if maker := (context.definition_metadata or {}).get(LINEAGE_OF):
                snapshot = _made_from(store, asset, self._hold(store, (maker,), run_id, step))
            else:
                snapshot = self._hold(store, asset, run_id, step)
            self.data_folder.reads(run_id, step)[snapshot.asset] = snapshot
            if damage := store.damage(snapshot):
                raise damage
            context.log.info(f"reading {snapshot.uri}")
            return self.read(hadoop_uri(snapshot.uri))

    def _hold(self, store: SnapshotStore, asset: AssetPath, run_id: str, step: str) -> Snapshot:
        """Choose the snapshot of an asset that a step reads; with it all stays that it was made from."""
        held = self.data_folder.held(run_id, step)
        if asset not in held:
            chosen = store.hold(lambda: store.of_run(asset, run_id) or store.require_current(asset), run_id)
            assert chosen  # noqa: S101 - there is one, or an error
            held[asset], hold = chosen
            self._holds.append(hold)
        return held[asset]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table, verify what must hold of it, and make it current."""
        store = self.data_folder.store
        asset = tuple(context.asset_key.path)
        with failures():
            inputs = self.data_folder.reads(*_run_and_step(context))
            settings = self.row_settings(obj)
            code_version = context.asset_spec.code_version or ""
            staged = store.begin(
                asset,
                context.run_id,
                {name: read.name for name, read in inputs.items()},
                "" if settings is None else version_of(code_version, settings, _of_rows(asset, inputs)),
            )
            try:
                version = version_of(code_version, settings or _config(context), _versions(inputs))
                snapshot = self._write_and_commit(context, store, staged, obj, version)
            except BaseException as error:
                if staged.row_version and not isinstance(error, UnusableError):
                    store.leave(staged)
                else:
                    store.discard(staged)
                raise
        _set_data_version(context, snapshot)
        context.log.info(
            f"{snapshot.rows:,} {tables.TABLES[asset].rows_are}, {snapshot.bytes / 1e6:,.1f} MB, "
            f"{snapshot.seconds:.1f} s: {snapshot.uri}"
        )
        context.add_output_metadata(_metadata(snapshot))
        context.add_output_metadata(
            self.data_folder.drawn(lambda: pictures_of(self.pyspark.spark_session, store, snapshot))
        )
        try:
            removed = store.prune(asset, self.data_folder.keep_snapshots)
        except Exception as error:  # noqa: BLE001 - the table is stored, whatever the clean-up meets
            context.log.warning(
                f"old snapshots of {snapshot.asset} could not be removed: {redact(find_cause(error).text)}"
            )
        else:
            if removed:
                context.log.info(f"removed old snapshots: {', '.join(removed)}")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let go of the snapshots that this run has read, however it ended."""
        while self._holds:
            with suppress(Exception):  # a marker that stays keeps a snapshot longer, no more
                self.data_folder.store.discard(self._holds.pop())
        if context.run:
            self.data_folder.forget(context.run.run_id)

    def _write_and_commit(
        self, context: dg.OutputContext, store: SnapshotStore, staged: Staged, value: Any, version: str
    ) -> Snapshot:
        table = tables.TABLES[staged.asset]
        upstream = store.input_of(staged, table.same_keys_as) if table.same_keys_as else None
        session = self.pyspark.spark_session

        def reporting(rows: int | None) -> AbstractContextManager[None]:
            expected = upstream.rows if rows is None and upstream else rows
            asset = "/".join(staged.asset)
            return progress.reporting(session, table.rows_are, expected, context.log.info, asset)

        refresh = not staged.row_version or _config(context).get("full_refresh", False)
        with ExitStack() as stack:
            made = [] if refresh else stack.enter_context(reusable(store, staged, context.run_id))
            written = self.write(value, staged, table, made, reporting)
        context.add_output_metadata(written.metadata)
        rows = stored_rows(session, table, hadoop_uri(staged.uri))
        summary = tables.summarize(table, rows, upstream, _config(context), written.observed)
        if upstream and not summary.holds.get(tables.SAME_IMAGES, True):
            self._require_undamaged(upstream, rows)
        _require_sound(staged, table, summary, rows)
        return store.commit(
            staged,
            run_id=context.run_id,
            code_version=context.asset_spec.code_version or "",
            config=_config(context),
            counts=summary.counts,
            holds=summary.holds,
            keys=summary.keys,
            images=summary.images,
            version=digest(summary.images if table.holds_images else [version, summary.content]),
            rows=summary.rows,
            seconds=round(time.time() - max(_started(context), session.sparkContext.startTime / 1000), 3),
        )

    def _require_undamaged(self, upstream: Snapshot, rows: DataFrame) -> None:
        """Raise a `UserError` if bits of stored images have flipped: a SequenceFile has no checksums."""
        table = tables.TABLES[upstream.asset_path]
        if not table.holds_images:
            return
        index = stored_rows(self.pyspark.spark_session, table, hadoop_uri(upstream.uri))
        if changed := tables.changed_images(index, rows):
            names = ", ".join(repr(name) for name, part in changed if part == changed[0][1])
            raise damaged_file(
                f"{upstream.uri}/{changed[0][1]}", f"holds other bytes of {names} than were stored", True
            )


class ParquetIOManager(SnapshotIOManager):
    """Snapshots in Parquet, for assets that are DataFrames or have a row per image."""

    def write(
        self,
        value: DataFrame | RowWise,
        staged: Staged,
        table: tables.Table,
        made: Sequence[Made],
        progress: Progress,
    ) -> Written:
        """Write a DataFrame, or the rows that are not stored already."""
        if isinstance(value, RowWise):
            return write_rows(value, self.data_folder.store, staged, table, made, progress)
        with progress(None):
            return Written({}, write_observed(value, staged, table))

    def row_settings(self, value: DataFrame | RowWise) -> Mapping[str, Any] | None:
        """Return all that a row depends on besides its image and the inputs; None without a row per image."""
        return value.settings if isinstance(value, RowWise) else None

    def read(self, uri: str) -> DataFrame:
        """Return a DataFrame on a snapshot."""
        return read_parquet(self.pyspark.spark_session, uri)


class SequenceFileIOManager(SnapshotIOManager):
    """Snapshots in SequenceFiles of file names and bytes, for the images."""

    def write(
        self,
        value: ImageFiles,
        staged: Staged,
        table: tables.Table,
        made: Sequence[Made],
        progress: Progress,
    ) -> Written:
        """Write the images of a source and list what was skipped."""
        session, store = self.pyspark.spark_session, self.data_folder.store
        with value:
            written, skipped = write_images(session, value, store, staged, made, progress)
        records = [dg.TableRecord({"name": name, "reason": reason}) for name, reason in skipped.examples]
        metadata = written.metadata | {"skipped": skipped.total, **_per_reason(skipped.counts)}
        return Written(metadata | ({"skipped_first": dg.MetadataValue.table(records)} if records else {}))

    def row_settings(self, value: ImageFiles) -> Mapping[str, Any]:
        """Return where the images come from."""
        return {"source": redact(value.source)}

    def read(self, uri: str) -> StoredImages:
        """Return the images of a snapshot."""
        return StoredImages(self.pyspark.spark_session, uri)


class ClassifierIOManager(SnapshotIOManager):
    """Snapshots of one ``.npz`` file, for classifiers."""

    def write(
        self,
        value: Classifier,
        staged: Staged,
        table: tables.Table,
        made: Sequence[Made],
        progress: Progress,
    ) -> Written:
        """Write a classifier, with the name of the dictionary that its encodings were made with."""
        dictionary = self.data_folder.store.lineage(staged)[CHAIN_OF[staged.asset[0]].dictionary].name
        data = classifier_to_npz(replace(value, dictionary=dictionary))
        open_files(staged.uri, lambda: self.pyspark.spark_session).create(CLASSIFIER_FILE, data)
        return Written({})

    def read(self, uri: str) -> Classifier:
        """Return the classifier of a snapshot."""
        return read_classifier(self.pyspark.spark_session, uri)


def _made_from(store: SnapshotStore, asset: AssetPath, made: Snapshot) -> Snapshot:
    snapshot = store.lineage(made).get("/".join(asset))
    if snapshot is None:
        raise UserError(
            f"The {'/'.join(asset)} that {made.asset} was made from is gone. "
            f"Materialize {made.asset} again first."
        )
    return snapshot


def _versions(inputs: Mapping[str, Snapshot]) -> dict[str, str]:
    # Snapshots of earlier releases have no version.
    return {name: snapshot.version or snapshot.name for name, snapshot in inputs.items()}


def _of_rows(asset: AssetPath, inputs: Mapping[str, Snapshot]) -> dict[str, str]:
    """Return what a row depends on besides its image: of a table of rows what its row depends on."""
    table = tables.TABLES[asset]
    versions = _versions(inputs)
    if table.same_keys_as:
        rows = "/".join(table.same_keys_as)
        # The digest of an image says what its row depends on of it.
        is_digest = tables.TABLES[table.same_keys_as].holds_images
        versions[rows] = "" if is_digest else inputs[rows].row_version or inputs[rows].name
    return versions


def _set_data_version(context: dg.OutputContext, snapshot: Snapshot) -> None:
    """Have Dagster compare what the asset holds, not which run made it."""
    with suppress(dg.DagsterInvariantViolationError):  # a context that a test has built
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(snapshot.version))


def _per_reason(counts: dict[str, int]) -> dict[str, int]:
    return {f"skipped: {reason}": count for reason, count in sorted(counts.items())}


def _require_sound(staged: Staged, table: tables.Table, summary: tables.Summary, rows: DataFrame) -> None:
    broken = [name for name, holds in summary.holds.items() if not holds]
    if not broken:
        return
    detail = ""
    if tables.UNIQUE_KEYS in broken:
        twice = ", ".join(map(repr, tables.duplicate_keys(table, rows)))
        detail = f" (more than once: {twice}; rename them in the source)"
    raise UnusableError(
        f"{'/'.join(staged.asset)} was not stored, since it breaks {', '.join(broken)}{detail}. "
        "The snapshot before it stays current."
    )


def _run_and_step(context: dg.InputContext | dg.OutputContext) -> tuple[str, str]:
    try:
        step = context.step_context
    except dg.DagsterInvariantViolationError:  # a context that a test has built
        return getattr(context, "run_id", ""), ""
    return step.run_id, step.step.key


def _config(context: dg.OutputContext) -> dict[str, Any]:
    """Return the configuration of the asset, as it may be stored and shown."""
    try:
        config = context.step_context.op_config or {}
    except dg.DagsterInvariantViolationError:
        return {}
    return {name: redact(value) if isinstance(value, str) else value for name, value in config.items()}


def _started(context: dg.OutputContext) -> float:
    """When the step started; most of an asset's work is done by its IO manager, but not all."""
    try:
        stats = context.step_context.instance.get_run_step_stats(context.run_id, [context.step_key])
        return stats[0].start_time or time.time()
    except (dg.DagsterInvariantViolationError, IndexError):
        return time.time()


def _metadata(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "dagster/row_count": snapshot.rows,
        "dagster/uri": snapshot.uri,
        **snapshot.counts,
        "seconds": snapshot.seconds,
        "size_mb": round(snapshot.bytes / 1e6, 3),
        "files": snapshot.files,
        "snapshot": snapshot.name,
        **{f"made_from_{asset}": name for asset, name in snapshot.inputs.items()},
        "config": dg.MetadataValue.json(snapshot.config),
        "code_version": snapshot.code_version,
        "folder": dg.MetadataValue.path(snapshot.uri),
    }
