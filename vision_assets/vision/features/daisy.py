"""DAISY, by OpenCV.

Tola, Lepetit, Fua: DAISY: An Efficient Dense Descriptor Applied to Wide Baseline Stereo, 2010.
"""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features import common_options as common
from vision_assets.vision.features.base import DetectAndCompute, ExtractorOptions, Features
from vision_assets.vision.io.pixels import ValueRange
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

_MOST_POINTS = 2**20  # of an image; their descriptors take 0.8 GB


@dataclass(frozen=True)
class DaisyOptions(ExtractorOptions):
    """How DAISY features are extracted: on a grid, not at keypoints.

    Parameters
    ----------
    step : int
        Pixels from one point of the grid to the next.
    radius : float
        Radius of the descriptor's support region, in pixels.
    max_side, max_pixels, value_range
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "daisy"
    title: ClassVar = "DAISY"
    length: ClassVar = 200  # (3 rings x 8 points + the centre) x 8 gradient directions
    dtype: ClassVar = FIXED_POINT
    patch: ClassVar = 1.0
    same_opencv: ClassVar = ("5.0.0", "5.1.0")

    step: int = option(8, "Pixels from one point of the grid to the next.", ge=1, le=1000)
    radius: float = option(15.0, "Radius of the descriptor's support region, in pixels.", ge=3, le=500)
    max_side: int | None = common.max_side()
    max_pixels: int = common.max_pixels()
    value_range: ValueRange = common.value_range()

    def build(self) -> DetectAndCompute:
        """Build OpenCV's DAISY on a grid of points; its descriptors have the norm 1."""
        daisy = cv2.xfeatures2d.DAISY.create(
            radius=self.radius, q_radius=3, q_theta=8, q_hist=8, norm=cv2.xfeatures2d.DAISY_NRM_FULL
        )

        def detect_and_compute(gray: NDArray[np.uint8]) -> Features:
            keypoints = self._grid(*gray.shape)
            if len(keypoints) > _MOST_POINTS:
                raise ValueError(
                    f"the grid has {len(keypoints):,} points, which is too many: raise step or set max_side"
                )
            if not len(keypoints):
                return keypoints, np.empty((0, self.length), np.float32)
            return keypoints, daisy.compute(gray, cv2.KeyPoint.convert(keypoints[:, :2]))[1]  # type: ignore[call-overload]

        return detect_and_compute

    def _grid(self, height: int, width: int) -> NDArray[np.float32]:
        """Return the points of the grid whose support regions are within the image."""
        border = int(np.ceil(self.radius))
        # OpenCV treats the last two rows and columns as outside.
        rows, columns = (np.arange(border, side - border - 2, self.step) for side in (height, width))
        keypoints = np.zeros((len(rows) * len(columns), 5), np.float32)
        keypoints[:, 0], keypoints[:, 1] = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
        keypoints[:, 2] = 2 * self.radius
        return keypoints
