"""SIFT features of the images."""

from dataclasses import asdict

import cv2
import dagster as dg
from pydantic import Field

from vision_assets.assets.columns import definition_metadata
from vision_assets.assets.fields import FULL_REFRESH
from vision_assets.automation import FOLLOW_UPSTREAM
from vision_assets.failures import RETRY_POLICY, failures
from vision_assets.spark.features import extract
from vision_assets.spark.row_wise import RowWise
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
    full_refresh: bool = Field(default=False, description=FULL_REFRESH)
    max_failed_share: float = Field(
        default=0.01, ge=0, le=1, description="Warn when a larger share of the images could not be read."
    )

    def options(self) -> SiftOptions:
        """Return the options of the extractor alone."""
        return SiftOptions(**self.model_dump(exclude={"partitions", "full_refresh", "max_failed_share"}))


@dg.asset(
    io_manager_key="parquet",
    group_name="bovw",
    kinds={"pyspark", "opencv", "parquet"},
    code_version="1",
    retry_policy=RETRY_POLICY,
    automation_condition=FOLLOW_UPSTREAM,
    metadata=definition_metadata(SIFT_FEATURES.schema),
)
def sift_features(config: SiftFeaturesConfig, image_seqfile: StoredImages) -> RowWise:
    """SIFT keypoints and descriptors, one row per image; one that cannot be read has an error instead.

    Only new and changed images are extracted, unless the settings have changed.
    """
    options = config.options()
    with failures():
        index = image_seqfile.index()
    return RowWise(
        wanted=index.selectExpr("fileName", "digest", "part as source"),
        compute=lambda todo: extract(image_seqfile.table(config.partitions, todo), options),
        # Other versions of OpenCV may find other keypoints.
        settings={"extractor": "sift", "opencv": cv2.__version__, **asdict(options)},
        computed="extracted",
    )
