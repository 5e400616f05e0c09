"""DAISY, by OpenCV.

Tola, Lepetit, Fua: DAISY: An Efficient Dense Descriptor Applied to Wide Baseline Stereo, 2010.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features import base as extraction
from vision_assets.vision.features.base import ExtractorOptions, Features
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

_MOST = 2**20  # points in an image, whose descriptors are 0.8 GB


@dataclass(frozen=True)
class DaisyOptions(ExtractorOptions):
    """How DAISY features are extracted: on a grid, not at keypoints.

    Parameters
    ----------
    step : int
        Pixels from one point of the grid to the next.
    radius : float
        Of what a descriptor looks at, in pixels.
    max_side, max_pixels : int
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "daisy"
    title: ClassVar = "DAISY"
    length: ClassVar = 200  # (3 rings x 8 places + the middle) x 8 directions of gradients
    dtype: ClassVar = FIXED_POINT
    patch: ClassVar = 1.0

    step: int = option(8, "Pixels from one point of the grid to the next.", ge=1, le=1000)
    radius: float = option(15.0, "Of what a descriptor looks at, in pixels.", ge=3, le=500)
    max_side: int | None = extraction.max_side()
    max_pixels: int = extraction.max_pixels()

    def build(self) -> Callable[[NDArray[np.uint8]], Features]:
        """Return OpenCV's, which scales each descriptor to the length 1."""
        daisy = cv2.xfeatures2d.DAISY.create(
            radius=self.radius, q_radius=3, q_theta=8, q_hist=8, norm=cv2.xfeatures2d.DAISY_NRM_FULL
        )

        def detect(gray: NDArray[np.uint8]) -> Features:
            keypoints = self._grid(*gray.shape)
            if len(keypoints) > _MOST:
                raise ValueError(
                    f"a grid of {len(keypoints):,} points is too fine: raise step, or set max_side"
                )
            if not len(keypoints):
                return keypoints, np.empty((0, self.length), np.float32)
            return keypoints, daisy.compute(gray, cv2.KeyPoint.convert(keypoints[:, :2]))[1]  # type: ignore[call-overload]

        return detect

    def _grid(self, height: int, width: int) -> NDArray[np.float32]:
        """Return points that are so far from the borders that a descriptor looks at nothing outside."""
        border = int(np.ceil(self.radius))
        # OpenCV takes the last two rows and columns for outside.
        rows, columns = (np.arange(border, side - border - 2, self.step) for side in (height, width))
        keypoints = np.zeros((len(rows) * len(columns), 5), np.float32)
        keypoints[:, 0], keypoints[:, 1] = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
        keypoints[:, 2] = 2 * self.radius
        return keypoints
