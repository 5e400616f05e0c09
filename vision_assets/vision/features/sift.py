"""SIFT (Lowe: Distinctive Image Features from Scale-Invariant Keypoints, 2004), by OpenCV."""

from dataclasses import dataclass
from typing import ClassVar

import cv2

from vision_assets.vision.features import common_options as common
from vision_assets.vision.features.base import DetectAndCompute, ExtractorOptions
from vision_assets.vision.features.opencv import by_opencv
from vision_assets.vision.io.pixels import ValueRange
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import UINT8


@dataclass(frozen=True)
class SiftOptions(ExtractorOptions):
    """How SIFT features are extracted; names and defaults of SIFT's own options are those of OpenCV.

    Parameters
    ----------
    nfeatures : int
        Keep about this many keypoints, those of the highest response. 0 keeps all.
    n_octave_layers : int
        Layers per octave (halving of the size) of the scale space.
    contrast_threshold : float
        A larger value drops more keypoints of low contrast. OpenCV divides it by `n_octave_layers`.
    edge_threshold : float
        A larger value keeps more keypoints on edges.
    sigma : float
        Gaussian blur of the first layer, in pixels.
    enable_precise_upscale : bool
        Upscale the image so that pixel x maps to 2x, which avoids a shift of keypoints by a quarter of a
        pixel.
    max_side : int, optional
        Shrink larger images so that the longer side has this many pixels. None shrinks none.
    max_pixels : int
        The largest width x height to decode, in pixels; `max_side` does not matter for it.
    value_range : str
        Which stored values become black and white: ``declared``, ``full`` or ``image``, see
        `vision_assets.vision.io.pixels.Pixels.limits`.

    Raises
    ------
    ValueError
        If a value is out of range.

    Notes
    -----
    SIFT needs about 235 bytes of memory per pixel of the (shrunk) image, most of it for the scale space:
    5.6 GB for 24 megapixels, 0.4 GB for 1.7. `max_side` limits it.
    """

    name: ClassVar = "sift"
    title: ClassVar = "SIFT"
    length: ClassVar = 128
    dtype: ClassVar = UINT8
    # OpenCV's calcSIFTDescriptor (sift.simd.hpp) pools gradients in 4 x 4 bins (SIFT_DESCR_WIDTH), each 3
    # (SIFT_DESCR_SCL_FCTR) times half the keypoint's size wide.
    patch: ClassVar = 4 * 3 / 2
    same_opencv: ClassVar = ("5.0.0", "5.1.0")

    nfeatures: int = common.nfeatures()
    n_octave_layers: int = option(3, "Layers per octave of the scale space.", ge=1, le=32)
    contrast_threshold: float = option(
        0.04, "Drop features of low contrast; a larger value drops more.", ge=0
    )
    edge_threshold: float = option(10.0, "Drop features on edges; a larger value drops fewer.", gt=0)
    sigma: float = option(
        1.6, "Gaussian blur of the first layer, in pixels; use less for blurred images.", gt=0, le=16
    )
    enable_precise_upscale: bool = option(
        default=False, description="Upscale without shifting the keypoints by a quarter of a pixel."
    )
    max_side: int | None = common.max_side()
    max_pixels: int = common.max_pixels()
    value_range: ValueRange = common.value_range()

    def build(self) -> DetectAndCompute:
        """Build OpenCV's SIFT."""
        # Without one of these arguments OpenCV may choose the overload that has no descriptorType.
        sift = cv2.SIFT.create(
            nfeatures=self.nfeatures,
            nOctaveLayers=self.n_octave_layers,
            contrastThreshold=self.contrast_threshold,
            edgeThreshold=self.edge_threshold,
            sigma=self.sigma,
            descriptorType=cv2.CV_8U,
            enable_precise_upscale=self.enable_precise_upscale,
        )
        return by_opencv(sift)
