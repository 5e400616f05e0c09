"""The dictionary of visual words."""

from typing import Literal

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.assets.chain_asset import chain_asset
from vision_assets.assets.settings import Settings
from vision_assets.chains import Chain
from vision_assets.failures import failures
from vision_assets.spark import progress
from vision_assets.spark.dictionary import KMeansOptions, Progress, dictionary_table, train
from vision_assets.storage.checkpoints import Checkpoint
from vision_assets.storage.io_managers import DataFolder
from vision_assets.vision.drawing import training_charts


class KMeansDictionaryConfig(Settings):
    """How the dictionary is trained; the names are those of Spark's MLlib."""

    k: int = Field(default=1000, ge=1, le=1_000_000, description="Number of visual words.")
    max_iter: int = Field(
        default=10, ge=0, le=10_000, description="Largest number of updates of the centres."
    )
    tol: float = Field(
        default=1e-4,
        ge=0,
        allow_inf_nan=False,
        description="Stop when no centre moves by more than this distance.",
    )
    init_mode: Literal["random", "k-means++"] = Field(
        default="random",
        description="Initial centres: `random` distinct descriptors, or `k-means++`, whose time grows with "
        "the square of k: a second for 1,000 words, 40 minutes for 50,000.",
    )
    seed: int = Field(
        default=0, ge=0, le=2**63 - 1, description="Random seed of the sample and the initial centres."
    )
    descriptors_per_word: int | None = Field(
        default=256,
        ge=1,
        description="Train on a sample of this many descriptors per word; null trains on all.",
    )

    def options(self) -> KMeansOptions:
        """Return the options of the training."""
        return KMeansOptions(**self.model_dump())


def make_kmeans_dictionary(chain: Chain) -> dg.AssetsDefinition:
    """Make the asset of the words of an extractor's descriptors."""

    @chain_asset(
        chain,
        chain.dictionary,
        kinds={"pyspark", "numpy", "parquet"},
        code_version="1",
        ins={"features": dg.AssetIn(chain.features)},
    )
    def kmeans_dictionary(
        context: dg.AssetExecutionContext,
        config: KMeansDictionaryConfig,
        data_folder: DataFolder,
        features: DataFrame,
    ) -> DataFrame:
        """Visual words: the centres of a k-means clustering of the descriptors, one row per word."""

        def save(training: Progress) -> None:
            progress.show(
                progress.Progress(chain.dictionary, "iterations", training.state.index, config.max_iter)
            )
            _save(context, checkpoint, training)

        with failures():
            checkpoint = data_folder.checkpoint(context, config.model_dump())
            training = train(
                features,
                config.options(),
                context.log.info,
                dtype=chain.extractor.dtype,
                start=_last_progress(context, checkpoint),
                save=save,
            )
        iterations = [
            dg.TableRecord({"iteration": index, "inertia": inertia, "seconds": round(seconds, 3)})
            for index, (inertia, seconds) in enumerate(zip(training.inertia, training.seconds, strict=True))
        ]
        context.add_output_metadata(
            {
                "inertia": training.inertia[-1],
                "inertia_per_descriptor": float(f"{training.inertia[-1] / training.trained:.6g}"),
                "iterations": training.final.index,
                "descriptors": training.total,
                "seconds_per_iteration": round(sum(training.seconds) / len(training.seconds), 3),
                "inertia_of_every_iteration": dg.MetadataValue.table(iterations),
                **data_folder.drawn(
                    lambda: {"training": training_charts(training.inertia, training.final.statistics.counts)}
                ),
            }
        )
        return dictionary_table(features.sparkSession, training.final)

    return kmeans_dictionary


def _last_progress(context: dg.AssetExecutionContext, checkpoint: Checkpoint) -> Progress | None:
    saved = checkpoint.newest()
    try:
        return Progress.from_bytes(saved) if saved else None
    except ValueError as error:
        context.log.warning(f"what an earlier run has saved is damaged, so the training starts anew: {error}")
        checkpoint.clear()
        return None


def _save(context: dg.AssetExecutionContext, checkpoint: Checkpoint, training: Progress) -> None:
    try:
        checkpoint.save(training.state.index, training.to_bytes())
    except Exception as error:  # noqa: BLE001 - the training itself is well
        context.log.warning(f"how far the training has come could not be saved: {error}")
