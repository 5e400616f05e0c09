"""IO managers: each output of an asset becomes a snapshot, each input is read from one."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import PrivateAttr
from pyspark.sql import DataFrame

from vision_assets.errors import UserError
from vision_assets.failures import failures
from vision_assets.spark import progress, sequence_file, tables
from vision_assets.spark.sources import ImageFiles
from vision_assets.spark.stored_tables import (
    StoredImages,
    read_classifier,
    read_parquet,
    stored_rows,
)
from vision_assets.storage.files import hadoop_uri, open_files
from vision_assets.storage.pictures import pictures_of
from vision_assets.storage.snapshots import Snapshot, SnapshotStore, Staged
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

    @property
    def store(self) -> SnapshotStore:
        """The snapshots in this folder."""
        return SnapshotStore(open_files(self.uri, lambda: self.pyspark.spark_session))

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
            dg.get_dagster_logger().warning(f"the pictures could not be drawn: {error}")
            return {}
        return {f"picture_{name}": dg.MetadataValue.md(pic.markdown()) for name, pic in pictures.items()}


class Written(NamedTuple):
    """What only writing a table tells of it.

    Attributes
    ----------
    metadata : dict
        For the materialization.
    observed : dict, optional
        Counts and invariants of the rows written; None if they are to be read for that.
    """

    metadata: dict[str, Any]
    observed: dict[str, Any] | None = None


class SnapshotIOManager(dg.ConfigurableIOManager):
    """Writes each materialization as a snapshot of its own and makes it current once it is whole."""

    pyspark: dg.ResourceDependency[LazyPySparkResource]
    data_folder: dg.ResourceDependency[DataFolder]

    # What a step has read, for the manifest of what it writes. Shared between the IO managers, as a step
    # may read through one and write through another.
    _reads: ClassVar[dict[tuple[str, str], dict[str, str]]] = {}

    _holds: list[Staged] = PrivateAttr(default_factory=list)

    @abstractmethod
    def write(self, value: Any, staged: Staged, table: tables.Table) -> Written:
        """Write a table to the folder of a snapshot, which does not exist yet."""

    @abstractmethod
    def read(self, uri: str) -> Any:
        """Return a stored table as an asset takes it."""

    def expected_rows(self, value: Any) -> int | None:
        """Return how many rows a table will have, if that is known before it is written."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Return an upstream table: the snapshot that this run made, else the current one.

        With ``LINEAGE_OF`` in the input's metadata it is the one that another upstream table was made from.
        """
        store = self.data_folder.store
        run_id, step = _run_and_step(context)
        with failures():
            snapshot = _upstream(store, context, run_id)
            self._reads.setdefault((run_id, step), {})[snapshot.asset] = snapshot.name
            self._holds.append(store.hold(snapshot, run_id))
            context.log.info(f"reading {snapshot.uri}")
            return self.read(hadoop_uri(snapshot.uri))

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table, verify what must hold of it, and make it current."""
        store = self.data_folder.store
        asset = tuple(context.asset_key.path)
        with failures():
            staged = store.begin(asset, context.run_id, self._reads.pop(_run_and_step(context), {}))
            try:
                snapshot = self._write_and_commit(context, store, staged, obj)
            except BaseException:
                store.discard(staged)
                raise
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
            context.log.warning(f"old snapshots of {snapshot.asset} could not be removed: {error}")
        else:
            if removed:
                context.log.info(f"removed old snapshots: {', '.join(removed)}")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let go of the snapshots that this run has read, however it ended."""
        while self._holds:
            with suppress(Exception):  # a marker that stays keeps a snapshot longer, no more
                self.data_folder.store.discard(self._holds.pop())

    def _write_and_commit(
        self, context: dg.OutputContext, store: SnapshotStore, staged: Staged, value: Any
    ) -> Snapshot:
        table = tables.TABLES[staged.asset]
        upstream = store.input_of(staged, table.same_keys_as) if table.same_keys_as else None
        expected = upstream.rows if upstream else self.expected_rows(value)
        session = self.pyspark.spark_session
        with progress.reporting(session, table.rows_are, expected, context.log.info):
            written = self.write(value, staged, table)
        context.add_output_metadata(written.metadata)
        rows = stored_rows(session, table, hadoop_uri(staged.uri))
        summary = tables.summarize(
            table, rows, upstream.keys if upstream else None, _config(context), written.observed
        )
        _require_sound(staged, table, summary, rows)
        return store.commit(
            staged,
            run_id=context.run_id,
            code_version=context.asset_spec.code_version or "",
            config=_config(context),
            counts=summary.counts,
            holds=summary.holds,
            keys=summary.keys,
            rows=summary.rows,
            seconds=round(time.time() - max(_started(context), session.sparkContext.startTime / 1000), 3),
        )


class ParquetIOManager(SnapshotIOManager):
    """Snapshots in Parquet, for assets that are DataFrames."""

    def write(self, value: DataFrame, staged: Staged, table: tables.Table) -> Written:
        """Write a DataFrame."""
        rows, observation = tables.observe(table, value)
        rows.write.parquet(hadoop_uri(staged.uri))
        return Written({}, observation.get)

    def read(self, uri: str) -> DataFrame:
        """Return a DataFrame on a snapshot."""
        return read_parquet(self.pyspark.spark_session, uri)


class SequenceFileIOManager(SnapshotIOManager):
    """Snapshots in SequenceFiles of file names and bytes, for the images."""

    def write(self, value: ImageFiles, staged: Staged, table: tables.Table) -> Written:
        """Write the images of a source and list what was skipped."""
        with value:
            skipped = sequence_file.write(self.pyspark.spark_session, value, hadoop_uri(staged.uri)).skipped
        records = [dg.TableRecord({"name": name, "reason": reason}) for name, reason in skipped.examples]
        metadata: dict[str, Any] = {"skipped": skipped.total, **_per_reason(skipped.counts)}
        return Written(metadata | ({"skipped_first": dg.MetadataValue.table(records)} if records else {}))

    def read(self, uri: str) -> StoredImages:
        """Return the images of a snapshot."""
        return StoredImages(self.pyspark.spark_session, uri)

    def expected_rows(self, value: ImageFiles) -> int | None:
        """Return the number of images in the source."""
        return value.count


class ClassifierIOManager(SnapshotIOManager):
    """Snapshots of one ``.npz`` file, for classifiers."""

    def write(self, value: Classifier, staged: Staged, table: tables.Table) -> Written:
        """Write a classifier, with the name of the dictionary that its encodings were made with."""
        dictionary = self.data_folder.store.lineage(staged)["kmeans_dictionary"].name
        data = classifier_to_npz(replace(value, dictionary=dictionary))
        open_files(staged.uri, lambda: self.pyspark.spark_session).create(CLASSIFIER_FILE, data)
        return Written({})

    def read(self, uri: str) -> Classifier:
        """Return the classifier of a snapshot."""
        return read_classifier(self.pyspark.spark_session, uri)


def _upstream(store: SnapshotStore, context: dg.InputContext, run_id: str) -> Snapshot:
    asset = tuple(context.asset_key.path)
    if not (maker := (context.definition_metadata or {}).get(LINEAGE_OF)):
        return store.of_run(asset, run_id) or store.require_current(asset)
    made = store.of_run((maker,), run_id) or store.require_current((maker,))
    snapshot = store.lineage(made).get("/".join(asset))
    if snapshot is None:
        raise UserError(
            f"The {'/'.join(asset)} that {maker} was made from is gone. Materialize {maker} again first."
        )
    return snapshot


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
    raise UserError(
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
    try:
        return context.step_context.op_config or {}
    except dg.DagsterInvariantViolationError:
        return {}


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
