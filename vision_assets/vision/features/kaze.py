"""KAZE (Alcantarilla, Bartoli, Davison: KAZE Features, 2012), by OpenCV."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features import base as extraction
from vision_assets.vision.features.base import ExtractorOptions, Features, by_opencv, strongest
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

# OpenCV 4 has it elsewhere.
KAZE: Any = getattr(cv2.xfeatures2d, "KAZE", None) or getattr(cv2, "KAZE")  # noqa: B009 - unknown to the stubs of 5


@dataclass(frozen=True)
class KazeOptions(ExtractorOptions):
    """How KAZE features are extracted; the names and defaults are OpenCV's, but for `nfeatures`.

    Parameters
    ----------
    nfeatures : int
        Keep at most this many keypoints, those of the highest response. 0 keeps all.
    threshold : float
        A larger value drops more keypoints of a low response.
    n_octaves : int
        Octaves that the scale of keypoints spans.
    n_octave_layers : int
        Layers searched in each octave.
    upright : bool
        Give all keypoints the angle 0: faster, for images that are never turned.
    max_side, max_pixels : int
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "kaze"
    title: ClassVar = "KAZE"
    length: ClassVar = 64
    dtype: ClassVar = FIXED_POINT
    # OpenCV's KAZE_Descriptor_Invoker samples 24 x 24 points that are half the keypoint's size apart.
    patch: ClassVar = 24 / 2

    nfeatures: int = extraction.nfeatures()
    threshold: float = option(0.001, "Drop features of a lower response; larger drops more.", gt=0)
    n_octaves: int = option(4, "Octaves that the scale of features spans.", ge=1, le=12)
    n_octave_layers: int = option(4, "Layers in each octave.", ge=1, le=32)
    upright: bool = option(
        default=False, description="Give all features the angle 0, for images that are never turned."
    )
    max_side: int | None = extraction.max_side()
    max_pixels: int = extraction.max_pixels()

    def build(self) -> Callable[[NDArray[np.uint8]], Features]:
        """Return OpenCV's, which scales each descriptor to the length 1."""
        detect = by_opencv(
            KAZE.create(
                extended=False,
                upright=self.upright,
                threshold=self.threshold,
                nOctaves=self.n_octaves,
                nOctaveLayers=self.n_octave_layers,
            )
        )
        return lambda gray: strongest(detect(gray), self.nfeatures)
