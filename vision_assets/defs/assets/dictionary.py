"""The assets of dictionaries of visual words."""

from collections.abc import Mapping

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import step_asset
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.redaction import redact
from vision_assets.snapshots.checkpoints import Checkpoint
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.progress import Progress, show
from vision_assets.steps.dictionary import KMeansCheckpoint, train, word_rows
from vision_assets.steps.fit import require_one_descriptor_space
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.storing import checkpoint_of
from vision_assets.vision.draw import training_charts
from vision_assets.vision.vocabulary.kmeans import KMeansOptions


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the visual words of an extractor's descriptors."""
    extractor = spec.step.extractor
    assert extractor  # noqa: S101 - a dictionary is made from features
    config_type = config_of(spec, collection.settings)

    def require_fit(words: StoredTable, inputs: Mapping[str, StoredTable]) -> None:
        require_one_descriptor_space(extractor, inputs[spec.step.inputs["features"]], words)

    @step_asset(spec, collection, require_fit)
    def dictionary(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        data_folder: TableStoreResource,
        features: StoredTable,
    ) -> NewTable:
        options = config.options(KMeansOptions)  # type: ignore[attr-defined]

        def save(state: KMeansCheckpoint) -> None:
            show(Progress(spec.asset, "iterations", state.state.index, options.max_iter))
            _save(context, checkpoint, state)

        with failures():
            settings = spec.table_settings(config.model_dump())  # type: ignore[attr-defined]
            checkpoint = checkpoint_of(spec, settings, features)
            training = train(
                features.rows,
                options,
                context.log.info,
                dtype=extractor.dtype,
                start=_newest(context, checkpoint),
                save=save,
            )
        iterations = [
            dg.TableRecord({"iteration": index, "inertia": inertia, "seconds": seconds})
            for index, (inertia, seconds) in enumerate(zip(training.inertia, training.seconds, strict=True))
        ]
        charts = data_folder.render_pictures(
            lambda: {"training": training_charts(training.inertia, training.final.statistics.counts)}
        )
        metadata = {
            **charts,
            "inertia_per_descriptor": training.inertia[-1] / training.trained,
            "inertia": training.inertia[-1],
            "iterations": training.final.index,
            "descriptors": training.total,
            "seconds_per_iteration": sum(training.seconds) / len(training.seconds),
            "inertia_of_every_iteration": dg.MetadataValue.table(iterations),
        }
        return NewTable(word_rows(features.spark, training.final), inputs=(features,), metadata=metadata)

    return dg.Definitions(assets=[dictionary])


def _newest(context: dg.AssetExecutionContext, checkpoint: Checkpoint) -> KMeansCheckpoint | None:
    saved = checkpoint.newest()
    try:
        return KMeansCheckpoint.from_bytes(saved) if saved else None
    except ValueError as error:
        context.log.warning(
            f"The k-means checkpoint is corrupt; training restarts from the beginning: {error}"
        )
        checkpoint.clear()
        return None


def _save(context: dg.AssetExecutionContext, checkpoint: Checkpoint, state: KMeansCheckpoint) -> None:
    try:
        checkpoint.save(state.state.index, state.to_bytes())
    except Exception as error:  # noqa: BLE001 - the training itself can go on
        context.log.warning(f"The k-means checkpoint could not be saved: {redact(diagnose(error).text)}")
