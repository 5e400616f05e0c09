"""Bag-of-visual-words encodings of the images."""

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.defs.chain_asset import chain_asset
from vision_assets.defs.config import FULL_REFRESH, AssetConfig
from vision_assets.defs.failures import failures
from vision_assets.defs.io_managers import TableStoreResource
from vision_assets.errors import UserError
from vision_assets.pipelines import Pipeline
from vision_assets.steps.encodings import encode_features
from vision_assets.tables.per_image import PendingRows, PerImageTable, select_pending, with_file_path
from vision_assets.vision.encoding.bag_of_words import Normalization, Pooling


class BowEncodingsConfig(AssetConfig):
    """How descriptors are pooled."""

    pooling: Pooling = Field(
        default="sum",
        description="What is pooled per word: the `sum` or `max` of the descriptors' distances to the word's "
        "centre, or their `count`, the ordinary histogram.",
    )
    normalization: Normalization = Field(
        default="none",
        description="Normalisation of each vector: sum 1 (`l1`), length 1 (`l2`), or `hellinger`, the square "
        "root after `l1`.",
    )
    full_refresh: bool = Field(default=False, description=FULL_REFRESH)


def make_bow_encodings(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Make the asset of the encodings of an extractor's features."""

    @chain_asset(
        pipeline,
        pipeline.encodings,
        kinds={"pyspark", "numpy", "parquet"},
        code_version="1",
        ins={"features": dg.AssetIn(pipeline.features), "dictionary": dg.AssetIn(pipeline.dictionary)},
    )
    def bow_encodings(
        context: dg.AssetExecutionContext,
        config: BowEncodingsConfig,
        data_folder: TableStoreResource,
        features: DataFrame,
        dictionary: DataFrame,
    ) -> PerImageTable:
        """One vector per image: each descriptor coded by its nearest visual word and pooled per word.

        Only new and changed images are encoded, unless the dictionary or the settings have changed.
        """
        with failures():
            _require_one_family(pipeline, data_folder, context)

        def compute(pending: PendingRows | None) -> DataFrame:
            wanted = features if pending is None else select_pending(features, pending)
            return encode_features(
                wanted, dictionary, config.pooling, config.normalization, pipeline.extractor.dtype
            )

        return PerImageTable(
            wanted=with_file_path(features, "keypointCount"),
            compute=compute,
            settings=config.model_dump(exclude={"full_refresh"}),
            computed="encoded",
            # A full refresh may give features to an image that had too little memory before.
            same={"keypointCount": "descriptorCount"},
        )

    return bow_encodings


def _require_one_family(
    pipeline: Pipeline, data_folder: TableStoreResource, context: dg.AssetExecutionContext
) -> None:
    """Raise a `UserError` if the words are of descriptors that cannot be compared with these features'."""
    read = data_folder.reads(context.run.run_id, pipeline.encodings)
    features, dictionary = read[pipeline.features], read[pipeline.dictionary]
    trained_on = data_folder.store.input_of(dictionary, (pipeline.features,))
    if trained_on is None:
        context.log.warning(f"what {dictionary.uri} was trained on is gone: whether it fits is not known")
        return
    theirs, ours = (
        pipeline.extractor.from_config(made.config).descriptor_space() for made in (trained_on, features)
    )
    if theirs != ours:
        raise UserError(
            f"The dictionary {dictionary.uri} is of {theirs}, the features {features.uri} are of {ours}, "
            "whose descriptors are not comparable. "
            f"Materialize {pipeline.dictionary} from these features first."
        )
