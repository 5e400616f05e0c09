"""Extraction of the features of one image, whatever the extractor."""

import math
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.keypoints import scale_keypoints
from vision_assets.vision.io.decoding import ImageError, decode_gray
from vision_assets.vision.io.unpacking.opencv import opencv_reason
from vision_assets.vision.vocabulary.fixed_point import UINT8, Descriptors, quantize

_CELL_BYTES = 2**30
_LARGEST_NORM = 1.01  # sums of fixed-point values are exact for descriptors of norm up to about 1


class ImageFeatures(NamedTuple):
    """The features of one image.

    Attributes
    ----------
    width, height : int
        Size of the decoded image in pixels, before any shrinking.
    keypoints : ndarray of shape (N, 5), dtype float32
        x and y of the centre and size (diameter), in pixels of the decoded image before any shrinking, where
        (0, 0) is the centre of the upper left pixel; angle in degrees, clockwise from the x axis; response.
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
        One row per keypoint, in the order of the extractor; float32 values are multiples of 2⁻¹⁵, see
        `vision_assets.vision.vocabulary.fixed_point.quantize`.
    """

    width: int
    height: int
    keypoints: NDArray[np.float32]
    descriptors: Descriptors


class ImageExtractor:
    """Extracts the features of images.

    It cannot be pickled: build one in each worker and reuse it.

    Parameters
    ----------
    options : ExtractorOptions
        Which extractor, and how to extract.

    Raises
    ------
    UserError
        If a library that the extractor needs is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from vision_assets.vision.features.sift import SiftOptions
    >>> pixels = np.zeros((60, 80), np.uint8)
    >>> pixels[20:40, 30:50] = 255
    >>> features = ImageExtractor(SiftOptions()).extract_gray(pixels)
    >>> features.width, features.height, features.descriptors.shape[1]
    (80, 60, 128)
    """

    def __init__(self, options: ExtractorOptions) -> None:
        self.options = options
        self._detect_and_compute = options.build()

    def extract(self, data: bytes) -> ImageFeatures:
        """Decode an image file and extract its features.

        Parameters
        ----------
        data : bytes
            The content of the file.

        Returns
        -------
        ImageFeatures
            The arrays have no rows if the image has no keypoints.

        Raises
        ------
        ImageError
            If the image cannot be decoded, is too large, or the extractor fails on it.
        UserError
            If the descriptors are not those that the options describe.
        """
        options = self.options
        return self.extract_gray(
            decode_gray(data, max_pixels=options.max_pixels, value_range=options.value_range)
        )

    def extract_gray(self, gray: NDArray[np.uint8]) -> ImageFeatures:
        """Extract the features of a decoded image.

        Parameters
        ----------
        gray : ndarray of shape (height, width), dtype uint8
            Grey values, of any size: `max_pixels` is not checked.

        Returns
        -------
        ImageFeatures

        Raises
        ------
        ImageError
            If the extractor fails on the image.
        UserError
            If the descriptors are not those that the options describe.
        """
        height, width = gray.shape
        shrunk = _shrink(gray, self.options.max_side)
        try:
            keypoints, descriptors = self._detect_and_compute(shrunk)
        except UserError:
            raise
        except Exception as error:  # one image must not end a run
            reason = opencv_reason(error) if isinstance(error, cv2.error) else str(error) or repr(error)
            raise ImageError(f"{self.options.title} failed: {reason}", width=width, height=height) from error
        if len(descriptors) * self.options.length * self.options.dtype.itemsize > _CELL_BYTES:
            raise ImageError(
                f"{self.options.title} finds {len(descriptors):,} features, which do not fit into one table "
                "cell: set max_side, or options that find fewer",
                width=width,
                height=height,
            )
        descriptors = self._checked(keypoints, descriptors)
        if not _are_inside(keypoints, *shrunk.shape):
            raise ImageError(
                f"{self.options.title} failed: a keypoint is outside the image or not a number",
                width=width,
                height=height,
            )
        if shrunk.shape != gray.shape:
            scale_keypoints(keypoints, width / shrunk.shape[1], height / shrunk.shape[0])
        return ImageFeatures(width, height, keypoints, descriptors)

    def _checked(self, keypoints: NDArray[np.float32], descriptors: NDArray) -> Descriptors:
        """Return the descriptors in the dtype of the options.

        Raises
        ------
        UserError
            If shape or values are not as described: they would be stored without an error, but as nonsense.
        """
        options = self.options
        if descriptors.shape != (len(keypoints), options.length):
            wrong = f"{len(keypoints):,} rows of {options.length} values, but the array has the shape "
            wrong += str(descriptors.shape)
        elif options.dtype == UINT8:
            # OpenCV's `compute` returns integers as float32.
            if descriptors.dtype == UINT8:
                return descriptors
            integers = np.clip(np.nan_to_num(descriptors), 0, 255).astype(np.uint8)
            if np.array_equal(integers, descriptors):
                return integers
            wrong = f"integers in 0..255, but the array of {descriptors.dtype} has other values"
        else:
            values = np.nan_to_num(descriptors, nan=0.0)
            norm = math.sqrt(np.einsum("ij,ij->i", values, values).max(initial=0))
            if norm <= _LARGEST_NORM:
                return quantize(descriptors)
            wrong = f"rows of norm about 1, but a row has the norm {norm:.3g}"
        raise UserError(
            f"{type(options).__name__} describes {wrong}. Correct length or dtype of the extractor."
        )


def _are_inside(keypoints: NDArray[np.float32], height: int, width: int) -> bool:
    """Tell whether all keypoints are on pixels, which extend to half a pixel around their centres."""
    x, y = keypoints[:, 0], keypoints[:, 1]
    on_pixels = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return bool(on_pixels.all() and np.isfinite(keypoints).all())


def _shrink(gray: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Return an image of at most `max_side` pixels on its longer side, the same one if it has no more."""
    height, width = gray.shape
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return gray
    size = (max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer)))
    return cast("NDArray[np.uint8]", cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
