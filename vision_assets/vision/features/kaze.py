"""KAZE (Alcantarilla, Bartoli, Davison: KAZE Features, 2012), by OpenCV."""

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2

from vision_assets.vision.features import common_options as common
from vision_assets.vision.features.base import DetectAndCompute, ExtractorOptions
from vision_assets.vision.features.keypoints import strongest
from vision_assets.vision.features.opencv import by_opencv
from vision_assets.vision.io.pixels import ValueRange
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

# OpenCV 4 has it in the main module.
KAZE: Any = getattr(cv2.xfeatures2d, "KAZE", None) or getattr(cv2, "KAZE")  # noqa: B009 - unknown to the stubs of 5


@dataclass(frozen=True)
class KazeOptions(ExtractorOptions):
    """How KAZE features are extracted; names and defaults are those of OpenCV, except `nfeatures`.

    Parameters
    ----------
    nfeatures : int
        Keep at most this many keypoints, those of the highest response. 0 keeps all.
    threshold : float
        A larger value drops more keypoints of low response.
    n_octaves : int
        Octaves of the scale space.
    n_octave_layers : int
        Layers per octave.
    upright : bool
        Give all keypoints the angle 0: faster, for images that are never rotated.
    max_side, max_pixels, value_range
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "kaze"
    title: ClassVar = "KAZE"
    length: ClassVar = 64
    dtype: ClassVar = FIXED_POINT
    # OpenCV's KAZE_Descriptor_Invoker samples 24 x 24 points that are half the keypoint's size apart.
    patch: ClassVar = 24 / 2

    nfeatures: int = common.nfeatures()
    threshold: float = option(0.001, "Drop features of low response; a larger value drops more.", gt=0)
    n_octaves: int = option(4, "Octaves of the scale space.", ge=1, le=12)
    n_octave_layers: int = option(4, "Layers per octave of the scale space.", ge=1, le=32)
    upright: bool = option(
        default=False, description="Give all features the angle 0, for images that are never rotated."
    )
    max_side: int | None = common.max_side()
    max_pixels: int = common.max_pixels()
    value_range: ValueRange = common.value_range()

    def build(self) -> DetectAndCompute:
        """Build OpenCV's KAZE; its descriptors have the norm 1."""
        detect_and_compute = by_opencv(
            KAZE.create(
                extended=False,
                upright=self.upright,
                threshold=self.threshold,
                nOctaves=self.n_octaves,
                nOctaveLayers=self.n_octave_layers,
            )
        )
        return lambda gray: strongest(detect_and_compute(gray), self.nfeatures)
