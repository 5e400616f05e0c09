"""Bag-of-visual-words encodings of the images."""

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.assets.columns import definition_metadata
from vision_assets.assets.fields import FULL_REFRESH
from vision_assets.automation import FOLLOW_UPSTREAM
from vision_assets.failures import RETRY_POLICY
from vision_assets.spark.encodings import encode_features
from vision_assets.spark.row_wise import RowWise, Todo, only, with_source
from vision_assets.spark.tables import BOW_ENCODINGS
from vision_assets.vision.encoding import Normalization, Pooling


class BowEncodingsConfig(dg.Config):
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


@dg.asset(
    io_manager_key="parquet",
    group_name="bovw",
    kinds={"pyspark", "numpy", "parquet"},
    code_version="1",
    retry_policy=RETRY_POLICY,
    automation_condition=FOLLOW_UPSTREAM,
    metadata=definition_metadata(BOW_ENCODINGS.schema),
)
def bow_encodings(
    config: BowEncodingsConfig, sift_features: DataFrame, kmeans_dictionary: DataFrame
) -> RowWise:
    """One vector per image: each descriptor coded by its nearest visual word and pooled per word.

    Only new and changed images are encoded, unless the dictionary or the settings have changed.
    """

    def compute(todo: Todo | None) -> DataFrame:
        features = sift_features if todo is None else only(sift_features, todo)
        return encode_features(features, kmeans_dictionary, config.pooling, config.normalization)

    return RowWise(
        wanted=with_source(sift_features, "keypointCount"),
        compute=compute,
        settings=config.model_dump(exclude={"full_refresh"}),
        computed="encoded",
        # A full refresh may give features to an image that had too little memory before.
        same={"keypointCount": "descriptorCount"},
    )
