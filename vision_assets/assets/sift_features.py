"""SIFT features of the images."""

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.assets.columns import definition_metadata
from vision_assets.spark.features import extract
from vision_assets.spark.stored_tables import StoredImages
from vision_assets.spark.tables import SIFT_FEATURES
from vision_assets.vision.sift import SiftOptions


class SiftFeaturesConfig(dg.Config):
    """How features are extracted; the names and defaults of SIFT's options are OpenCV's."""

    nfeatures: int = Field(
        default=0, ge=0, le=10_000_000, description="Keep only the best features of an image; 0 keeps all."
    )
    n_octave_layers: int = Field(default=3, ge=1, le=32, description="Layers in each octave of the pyramid.")
    contrast_threshold: float = Field(
        default=0.04,
        ge=0,
        allow_inf_nan=False,
        description="Drop features of less contrast; larger drops more.",
    )
    edge_threshold: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="Drop features that are more edge-like; larger drops fewer.",
    )
    sigma: float = Field(
        default=1.6, gt=0, le=16, description="Blur of the first layer in pixels; less for weak lenses."
    )
    enable_precise_upscale: bool = Field(
        default=False, description="Upscale precisely, without a shift of the keypoints by a quarter pixel."
    )
    max_side: int | None = Field(
        default=None, ge=1, description="Shrink images so that the longer side has at most this many pixels."
    )
    max_pixels: int = Field(
        default=25_000_000,
        ge=1,
        description="An image of more pixels becomes a row with an error, without being decoded.",
    )
    partitions: int | None = Field(
        default=None,
        ge=1,
        description="Number of Spark tasks and files, about; null chooses by size and cores.",
    )
    max_failed_share: float = Field(
        default=0.01, ge=0, le=1, description="Warn when a larger share of the images could not be read."
    )

    def options(self) -> SiftOptions:
        """Return the options of the extractor alone."""
        return SiftOptions(**self.model_dump(exclude={"partitions", "max_failed_share"}))


@dg.asset(
    io_manager_key="parquet",
    group_name="bovw",
    kinds={"pyspark", "opencv", "parquet"},
    code_version="1",
    metadata=definition_metadata(SIFT_FEATURES.schema),
)
def sift_features(config: SiftFeaturesConfig, image_seqfile: StoredImages) -> DataFrame:
    """SIFT keypoints and descriptors, one row per image; one that cannot be read has an error instead."""
    return extract(image_seqfile.table(config.partitions), config.options())
