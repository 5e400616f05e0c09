"""Bag-of-visual-words encodings of the images."""

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.assets.columns import definition_metadata
from vision_assets.failures import failures
from vision_assets.spark.encodings import encode_features
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


@dg.asset(
    io_manager_key="parquet",
    group_name="bovw",
    kinds={"pyspark", "numpy", "parquet"},
    code_version="1",
    metadata=definition_metadata(BOW_ENCODINGS.schema),
)
def bow_encodings(
    config: BowEncodingsConfig, sift_features: DataFrame, kmeans_dictionary: DataFrame
) -> DataFrame:
    """One vector per image: each descriptor coded by its nearest visual word and pooled per word."""
    with failures():
        return encode_features(sift_features, kmeans_dictionary, config.pooling, config.normalization)
