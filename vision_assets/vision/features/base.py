"""Extraction of the features of one image, whatever the extractor."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.vision.io.decoding import ImageError, decode_gray, opencv_reason
from vision_assets.vision.options import Options, option
from vision_assets.vision.vocabulary.fixed_point import UINT8, Descriptors, quantize

Features = tuple[NDArray[np.float32], NDArray[Any]]
"""Keypoints of shape (N, 5), x, y, size, angle, response, and as many descriptors."""

_CELL_BYTES = 2**30
_LONGEST_ROW = 1.01  # of fractions, whose sums are exact up to about 1
_DTYPES = {cv2.CV_8U: np.uint8, cv2.CV_32F: np.float32}
_SIZE_ANGLE_RESPONSE = (attrgetter("size"), attrgetter("angle"), attrgetter("response"))


def nfeatures() -> int:
    """Make the option of how many keypoints are kept."""
    return option(0, "Keep only the best features of an image; 0 keeps all.", ge=0, le=10_000_000)


def max_side() -> int | None:
    """Make the option of the largest side."""
    return option(
        cast("int | None", None),
        "Shrink images so that the longer side has at most this many pixels.",
        ge=1,
    )


def max_pixels() -> int:
    """Make the option of the largest image."""
    return option(
        25_000_000,
        "An image of more pixels becomes a row with an error, without being decoded.",
        ge=1,
    )


class ExtractorOptions(Options, ABC):
    """What is known of an extractor, and how it is to extract: base of one dataclass for each.

    Attributes
    ----------
    name : str
        In names of assets: ``sift``.
    title : str
        In sentences: ``SIFT``.
    length : int
        Values of a descriptor.
    dtype : dtype
        Of the values: uint8, or float32 for values in -1..1 and rows of about the length 1.
    patch : float
        Side of the square that a descriptor looks at, in sizes of its keypoint.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    length: ClassVar[int]
    dtype: ClassVar[np.dtype]
    patch: ClassVar[float]

    max_side: int | None
    max_pixels: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the options in the configuration of a run, which may have others besides."""
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in config.items() if name in names})

    @abstractmethod
    def build(self) -> Callable[[NDArray[np.uint8]], Features]:
        """Return a function of a grey image; it is not picklable, so each worker makes one and keeps it."""

    def versions(self) -> Mapping[str, str]:
        """Return the libraries whose other versions may find other features."""
        return {"opencv": cv2.__version__}

    def descriptor_space(self) -> str:
        """Return what has to be equal for descriptors to be compared."""
        return self.title


class ImageFeatures(NamedTuple):
    """The features of one image.

    Attributes
    ----------
    width, height : int
        Size of the decoded image in pixels, before any shrinking.
    keypoints : ndarray of shape (N, 5), dtype float32
        x and y of the centre and size (diameter), in pixels of the image before shrinking, (0, 0) being the
        middle of its upper left pixel; angle in degrees, clockwise from the x axis; response.
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
        One row per keypoint, in the extractor's order; fractions as `descriptors.quantize` makes them.
    """

    width: int
    height: int
    keypoints: NDArray[np.float32]
    descriptors: Descriptors


class ImageExtractor:
    """Extracts the features of images. Not picklable: make one in each worker and reuse it.

    Parameters
    ----------
    options : ExtractorOptions
        Which extractor, and how to extract.
    """

    def __init__(self, options: ExtractorOptions) -> None:
        self.options = options
        self._detect = options.build()

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
            If the image cannot be decoded, is too large, or the extractor fails on it.
        UserError
            If what the extractor finds is not what its options describe.
        """
        return self.extract_gray(decode_gray(data, max_pixels=self.options.max_pixels))

    def extract_gray(self, gray: NDArray[np.uint8]) -> ImageFeatures:
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
            If the extractor fails on it.
        UserError
            If what the extractor finds is not what its options describe.
        """
        height, width = gray.shape
        shrunk = _shrink(gray, self.options.max_side)
        try:
            keypoints, descriptors = self._detect(shrunk)
        except UserError:
            raise
        except Exception as error:  # one image must not end a run
            reason = opencv_reason(error) if isinstance(error, cv2.error) else str(error) or repr(error)
            raise ImageError(f"{self.options.title} failed: {reason}", width=width, height=height) from error
        if len(descriptors) * self.options.length * self.options.dtype.itemsize > _CELL_BYTES:
            raise ImageError(
                f"{self.options.title} finds {len(descriptors):,} features, more than a cell of a table "
                "holds: set max_side, or options that find fewer",
                width=width,
                height=height,
            )
        descriptors = self._as_described(keypoints, descriptors)
        if shrunk.shape != gray.shape:
            scale_keypoints(keypoints, width / shrunk.shape[1], height / shrunk.shape[0])
        return ImageFeatures(width, height, keypoints, descriptors)

    def _as_described(self, keypoints: NDArray[np.float32], descriptors: NDArray) -> Descriptors:
        """Return descriptors of the type that the extractor is said to have.

        Raises
        ------
        UserError
            If they are others: stored as what they are not, they would be no error, but nonsense.
        """
        options = self.options
        if descriptors.shape != (len(keypoints), options.length):
            wrong = f"{len(keypoints):,} rows of {options.length}, but found an array of {descriptors.shape}"
        elif options.dtype == UINT8:
            # OpenCV's `compute` gives bytes as float32.
            if descriptors.dtype == UINT8:
                return descriptors
            whole = np.clip(np.nan_to_num(descriptors), 0, 255).astype(np.uint8)
            if np.array_equal(whole, descriptors):
                return whole
            wrong = f"whole numbers in 0..255, but found others, of {descriptors.dtype}"
        else:
            numbers = np.nan_to_num(descriptors, nan=0.0)
            longest = math.sqrt(np.einsum("ij,ij->i", numbers, numbers).max(initial=0))
            if longest <= _LONGEST_ROW:
                return quantize(descriptors)
            wrong = f"rows of about the length 1, but found one of {longest:.3g}"
        raise UserError(f"{type(options).__name__} describes {wrong}. Mend length or dtype of the extractor.")


def use_one_thread() -> None:
    """Make OpenCV run on the calling thread only, without OpenCL, in this process.

    For workers of which as many run side by side as there are cores.
    """
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)


def by_opencv(feature: cv2.Feature2D) -> Callable[[NDArray[np.uint8]], Features]:
    """Return a detector that is one of OpenCV's.

    Raises
    ------
    UserError
        If its descriptors are not compared by Euclid's distance.
    """
    if feature.defaultNorm() not in (cv2.NORM_L2, cv2.NORM_L2SQR):
        raise UserError(
            f"{feature.getDefaultName()} has descriptors of bits, which are near by how many of them differ. "
            "Words are means under Euclid's distance, and a mean of bits is none: see docs/extractors.md."
        )
    none = np.empty((0, feature.descriptorSize()), _DTYPES[feature.descriptorType()])

    def detect(gray: NDArray[np.uint8]) -> Features:
        found, descriptors = feature.detectAndCompute(gray, None)
        # OpenCV's stubs do not know that there may be no descriptors.
        return keypoint_array(found), none if descriptors is None else descriptors

    return detect


def strongest(found: Features, count: int) -> Features:
    """Return the features of the highest response in their order, all of them for the count 0."""
    keypoints, descriptors = found
    if not count or len(keypoints) <= count:
        return found
    chosen = np.sort(np.argsort(-keypoints[:, 4], kind="stable")[:count])
    return keypoints[chosen], descriptors[chosen]


def keypoint_array(found: Sequence[cv2.KeyPoint]) -> NDArray[np.float32]:
    """Return OpenCV's keypoints as an array of shape (N, 5): x, y, size, angle, response."""
    keypoints = np.empty((len(found), 5), np.float32)
    if found:
        keypoints[:, :2] = cv2.KeyPoint.convert(found)
        for column, value in enumerate(_SIZE_ANGLE_RESPONSE, start=2):
            keypoints[:, column] = np.fromiter(map(value, found), np.float32, len(found))
    return keypoints


def scale_keypoints(keypoints: NDArray[np.float32], scale_x: float, scale_y: float) -> None:
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


def _shrink(gray: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Return an image of at most `max_side` pixels on its longer side, the same one if it has no more."""
    height, width = gray.shape
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return gray
    size = (max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer)))
    return cast("NDArray[np.uint8]", cv2.resize(gray, size, interpolation=cv2.INTER_AREA))
