"""What an extractor is: its description, its options and the function that they build."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.io.decoding import DECODING_VERSION
from vision_assets.vision.io.pixels import ValueRange
from vision_assets.vision.options import Options

Features: TypeAlias = tuple[NDArray[np.float32], NDArray[Any]]
"""Keypoints of shape (N, 5), which are x, y, size, angle, response, and their descriptors of shape (N, d)."""

DetectAndCompute: TypeAlias = Callable[[NDArray[np.uint8]], Features]
"""From a grey image of shape (height, width) to its features, in pixels of that image."""


class ExtractorOptions(Options, ABC):
    """An extractor and its options: the base of one frozen dataclass per extractor.

    Attributes
    ----------
    name : str
        Short name in lower case, used in names of assets: ``sift``.
    title : str
        Name in sentences: ``SIFT``.
    length : int
        Number of values of a descriptor.
    dtype : dtype
        Type of the values: uint8, or float32 for values in -1..1 and descriptors of norm about 1.
    patch : float
        Side of the square that a descriptor covers, in sizes of its keypoint.
    same_opencv : tuple of str
        Versions of OpenCV whose features are the same to the bit.
    max_side : int or None
        Longer side in pixels that larger images are shrunk to.
    max_pixels : int
        The largest width x height to decode, in pixels.
    value_range : str
        Which stored values become black and white, see `vision_assets.vision.io.pixels.Pixels.limits`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    length: ClassVar[int]
    dtype: ClassVar[np.dtype]
    patch: ClassVar[float]
    same_opencv: ClassVar[tuple[str, ...]] = ()

    max_side: int | None
    max_pixels: int
    value_range: ValueRange

    @abstractmethod
    def build(self) -> DetectAndCompute:
        """Build the function that detects keypoints and computes their descriptors.

        Returns
        -------
        callable
            ``detect_and_compute(gray)`` takes an ndarray of shape (height, width), dtype uint8, and returns
            `Features`. It cannot be pickled: each worker builds its own and reuses it.

        Raises
        ------
        UserError
            If a library that the extractor needs is not installed.
        """

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the libraries that can change the features.

        Returns
        -------
        mapping of str to str
            Name of a library to its version.
        """
        return {"opencv": cv2.__version__, "decoding": DECODING_VERSION}

    def descriptor_space(self) -> str:
        """Return the name of the space that the descriptors are in.

        Returns
        -------
        str
            Descriptors of two extractors are comparable if their spaces have the same name.
        """
        return self.title
