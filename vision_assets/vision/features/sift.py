"""SIFT (Lowe: Distinctive Image Features from Scale-Invariant Keypoints, 2004), by OpenCV."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features import base as extraction
from vision_assets.vision.features.base import ExtractorOptions, Features, by_opencv
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import UINT8


@dataclass(frozen=True)
class SiftOptions(ExtractorOptions):
    """How SIFT features are extracted; the names and defaults of SIFT's options are OpenCV's.

    Parameters
    ----------
    nfeatures : int
        Keep at most about this many keypoints, those of the highest response. 0 keeps all.
    n_octave_layers : int
        Layers searched in each octave (halving of the size).
    contrast_threshold : float
        A larger value drops more keypoints of low contrast. OpenCV divides it by `n_octave_layers`.
    edge_threshold : float
        A larger value keeps more keypoints that lie on edges.
    sigma : float
        Gaussian blur of the first layer, in pixels.
    enable_precise_upscale : bool
        Double the image so that pixel x comes to lie on 2x, which avoids a shift of keypoints by a fraction
        of a pixel.
    max_side : int, optional
        Shrink an image whose longer side has more pixels, so that it has this many. None shrinks nothing.
    max_pixels : int
        Refuse an image of more pixels (width x height) than this, before it is decoded or shrunk.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Notes
    -----
    SIFT takes about 235 bytes of memory per pixel of the (shrunk) image, most of it for the scale space:
    5.6 GB for 24 megapixels, 0.4 GB for 1.7. `max_side` bounds it.
    """

    name: ClassVar = "sift"
    title: ClassVar = "SIFT"
    length: ClassVar = 128
    dtype: ClassVar = UINT8
    # OpenCV's calcSIFTDescriptor (sift.simd.hpp) pools gradients in 4 x 4 bins (SIFT_DESCR_WIDTH), each 3
    # (SIFT_DESCR_SCL_FCTR) times half the keypoint's size wide.
    patch: ClassVar = 4 * 3 / 2

    nfeatures: int = extraction.nfeatures()
    n_octave_layers: int = option(3, "Layers in each octave of the pyramid.", ge=1, le=32)
    contrast_threshold: float = option(0.04, "Drop features of less contrast; larger drops more.", ge=0)
    edge_threshold: float = option(10.0, "Drop features that are more edge-like; larger drops fewer.", gt=0)
    sigma: float = option(1.6, "Blur of the first layer in pixels; less for weak lenses.", gt=0, le=16)
    enable_precise_upscale: bool = option(
        default=False, description="Upscale precisely, without a shift of the keypoints by a quarter pixel."
    )
    max_side: int | None = extraction.max_side()
    max_pixels: int = extraction.max_pixels()

    def build(self) -> Callable[[NDArray[np.uint8]], Features]:
        """Return OpenCV's."""
        # With any argument left out OpenCV may take the overload without descriptorType.
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
