"""Pictures of features: keypoints in images, and how many keypoints the images have."""

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.steps.pictures.previews import SHEET_IMAGES, load_previews
from vision_assets.steps.pictures.sample import ImageSample, evenly_over_labels, evenly_spaced, some_rows
from vision_assets.vision.draw import Picture, count_histogram, keypoint_sheet
from vision_assets.vision.features.codecs import keypoint_matrix
from vision_assets.vision.features.keypoints import scale_keypoints

_KEYPOINT_IMAGES = 6


def draw_features(sample: ImageSample, features: DataFrame, images: float) -> dict[str, Picture]:
    """Draw the keypoints of some images, and how many the images have.

    Parameters
    ----------
    sample : ImageSample
    features : DataFrame
        A stored table.
    images : number
        Number of its rows.

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(sample.names, SHEET_IMAGES)
    columns = ("fileName", "width", "keypointCount", "keypoints")
    found = features.where(F.col("fileName").isin(*names) & (F.col("keypointCount") > 0)).select(*columns)
    rows = evenly_spaced(sorted(found.collect()), _KEYPOINT_IMAGES)
    previews = load_previews(sample, [row.fileName for row in rows])
    counts = some_rows(features, images).where("error is null").select("keypointCount").toArrow()
    return {
        "keypoints": keypoint_sheet(
            [
                (row.fileName, previews[row.fileName], _shrunk(row, previews[row.fileName].shape[1]))
                for row in rows
                if row.fileName in previews
            ]
        ),
        "keypoints_per_image": count_histogram(
            counts["keypointCount"].to_numpy(),
            title=f"Keypoints per image, {counts.num_rows:,} images",
            x_label="keypoints",
            y_label="images",
        ),
    }


def _shrunk(row: Row, width: int) -> NDArray[np.float32]:
    """Return keypoints in pixels of a preview of this width."""
    keypoints = keypoint_matrix(bytes(row.keypoints)).copy()
    scale = width / row.width
    scale_keypoints(keypoints, scale, scale)
    return keypoints
