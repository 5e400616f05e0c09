"""SIFT keypoints and descriptors of one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from vision_assets.vision.decoding import ImageError, decode_gray, opencv_reason

DESCRIPTOR_LENGTH = 128

# OpenCV's stubs do not know that there may be no descriptors.
_Detected = tuple[Sequence[cv2.KeyPoint], npt.NDArray[np.uint8] | None]
_SIZE_ANGLE_RESPONSE = (attrgetter("size"), attrgetter("angle"), attrgetter("response"))


@dataclass(frozen=True)
class SiftOptions:
    """How SIFT features are extracted. The first six are OpenCV's, with its names and defaults.

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

    nfeatures: int = 0
    n_octave_layers: int = 3
    contrast_threshold: float = 0.04
    edge_threshold: float = 10.0
    sigma: float = 1.6
    enable_precise_upscale: bool = False
    max_side: int | None = None
    max_pixels: int = 25_000_000

    def __post_init__(self) -> None:
        _require(self.nfeatures >= 0, "nfeatures must be 0 (all) or more", self.nfeatures)
        _require(1 <= self.n_octave_layers <= 32, "n_octave_layers must be 1 to 32", self.n_octave_layers)
        _require(
            math.isfinite(self.contrast_threshold) and self.contrast_threshold >= 0,
            "contrast_threshold must be 0 or more",
            self.contrast_threshold,
        )
        _require(
            math.isfinite(self.edge_threshold) and self.edge_threshold > 0,
            "edge_threshold must be more than 0",
            self.edge_threshold,
        )
        _require(0 < self.sigma <= 16, "sigma must be more than 0 and at most 16 pixels", self.sigma)
        _require(
            self.max_side is None or self.max_side >= 1, "max_side must be 1 or more pixels", self.max_side
        )
        _require(self.max_pixels >= 1, "max_pixels must be 1 or more", self.max_pixels)


class ImageFeatures(NamedTuple):
    """The features of one image.

    Attributes
    ----------
    width, height : int
        Size of the decoded image in pixels, before any shrinking.
    keypoints : ndarray of shape (N, 5), dtype float32
        x and y of the centre and size (diameter), in pixels of the image before shrinking, (0, 0) being the
        middle of its upper left pixel; angle in degrees, clockwise from the x axis; response.
    descriptors : ndarray of shape (N, 128), dtype uint8
        One row per keypoint, in OpenCV's order.
    """

    width: int
    height: int
    keypoints: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]


class SiftExtractor:
    """Extracts SIFT features with OpenCV. Not picklable: make one in each worker and reuse it.

    Parameters
    ----------
    options : SiftOptions
        How to extract.
    """

    def __init__(self, options: SiftOptions) -> None:
        self.options = options
        # With any argument left out OpenCV may take the overload without descriptorType.
        self._sift = cv2.SIFT.create(
            nfeatures=options.nfeatures,
            nOctaveLayers=options.n_octave_layers,
            contrastThreshold=options.contrast_threshold,
            edgeThreshold=options.edge_threshold,
            sigma=options.sigma,
            descriptorType=cv2.CV_8U,
            enable_precise_upscale=options.enable_precise_upscale,
        )

    def extract(self, data: bytes) -> ImageFeatures:
        """Decode an image file and extract its features.

        Parameters
        ----------
        data : bytes
            The content of the file.

        Returns
        -------
        ImageFeatures
            Of an image without any keypoint the arrays have no rows.

        Raises
        ------
        ImageError
            If the image cannot be decoded, is too large, or SIFT fails on it.
        """
        return self.extract_gray(decode_gray(data, max_pixels=self.options.max_pixels))

    def extract_gray(self, gray: npt.NDArray[np.uint8]) -> ImageFeatures:
        """Extract the features of a decoded image.

        Parameters
        ----------
        gray : ndarray of shape (height, width), dtype uint8

        Returns
        -------
        ImageFeatures

        Raises
        ------
        ImageError
            If SIFT fails on it.
        """
        height, width = gray.shape
        try:
            shrunk = _shrink(gray, self.options.max_side)
            found, descriptors = cast("_Detected", self._sift.detectAndCompute(shrunk, None))
        except cv2.error as error:
            raise ImageError(f"SIFT failed: {opencv_reason(error)}", width=width, height=height) from error
        keypoints = _keypoint_array(found)
        if shrunk.shape != gray.shape:
            scale_keypoints(keypoints, width / shrunk.shape[1], height / shrunk.shape[0])
        if descriptors is None:
            descriptors = np.empty((0, DESCRIPTOR_LENGTH), np.uint8)
        return ImageFeatures(width, height, keypoints, descriptors)


def use_one_thread() -> None:
    """Make OpenCV run on the calling thread only, without OpenCL, in this process.

    For workers of which as many run side by side as there are cores.
    """
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)


def _require(fine: bool, message: str, value: object) -> None:
    if not fine:
        raise ValueError(f"{message}, but is {value}")


def _shrink(gray: npt.NDArray[np.uint8], max_side: int | None) -> npt.NDArray[np.uint8]:
    """Return an image of at most `max_side` pixels on its longer side, the same one if it has no more."""
    height, width = gray.shape
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return gray
    size = (max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer)))
    return cast("npt.NDArray[np.uint8]", cv2.resize(gray, size, interpolation=cv2.INTER_AREA))


def _keypoint_array(found: Sequence[cv2.KeyPoint]) -> npt.NDArray[np.float32]:
    """Return the keypoints as an array of shape (N, 5): x, y, size, angle, response."""
    keypoints = np.empty((len(found), 5), np.float32)
    if found:
        keypoints[:, :2] = cv2.KeyPoint.convert(found)
        for column, value in enumerate(_SIZE_ANGLE_RESPONSE, start=2):
            keypoints[:, column] = np.fromiter(map(value, found), np.float32, len(found))
    return keypoints


def scale_keypoints(keypoints: npt.NDArray[np.float32], scale_x: float, scale_y: float) -> None:
    """Turn keypoints of an image into those of the same image at another size, in place.

    Parameters
    ----------
    keypoints : ndarray of shape (N, 5), dtype float32
        x, y, size, angle, response.
    scale_x, scale_y : float
        New width and height divided by the old ones.
    """
    # Pixel centres lie on whole numbers, so the image begins at -0.5.
    keypoints[:, 0] = (keypoints[:, 0] + 0.5) * scale_x - 0.5
    keypoints[:, 1] = (keypoints[:, 1] + 0.5) * scale_y - 0.5
    keypoints[:, 2] *= math.sqrt(scale_x * scale_y)
