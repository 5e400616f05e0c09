"""Grey values of an image that is given as a file's content, a path or an array."""

import os
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.io.decoding import ImageError, decode_gray
from vision_assets.vision.io.pixels import DECLARED, ValueRange

Image: TypeAlias = str | os.PathLike[str] | bytes | bytearray | NDArray[np.uint8]
"""An image: the path of an image file, the content of one, or decoded pixels in OpenCV's order BGR(A)."""

_TO_GRAY = {(): None, (1,): None, (3,): cv2.COLOR_BGR2GRAY, (4,): cv2.COLOR_BGRA2GRAY}
"""Shape of a pixel to OpenCV's code of the conversion to grey."""


def load_gray(image: Image, *, max_pixels: int, value_range: ValueRange = DECLARED) -> NDArray[np.uint8]:
    """Return the grey values of an image.

    Parameters
    ----------
    image : str, path, bytes or ndarray
        Path of an image file, content of an image file, or pixels as `to_gray` takes them.
    max_pixels : int
        The largest width x height to decode, in pixels. An array is taken at any size.
    value_range : str
        As `decode_gray` takes it; an array is taken as it is.

    Returns
    -------
    ndarray of shape (height, width), dtype uint8

    Raises
    ------
    ImageError
        If the image cannot be decoded, is too large, or is of another type.
    OSError
        If the file cannot be read.
    ValueError
        If a path contains a null character.
    """
    if isinstance(image, np.ndarray):
        return to_gray(image)
    if isinstance(image, bytes | bytearray):
        return decode_gray(bytes(image), max_pixels=max_pixels, value_range=value_range)
    if isinstance(image, str | os.PathLike):
        return decode_gray(Path(image).read_bytes(), max_pixels=max_pixels, value_range=value_range)
    raise ImageError(f"{type(image).__name__} is not an image: pass a path, bytes or an array")


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert decoded pixels to grey values.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, 1, 3 or 4), dtype uint8
        Grey values, or colours in OpenCV's order: blue, green, red, alpha. Alpha is ignored.

    Returns
    -------
    ndarray of shape (height, width), dtype uint8
        In C order.

    Raises
    ------
    ImageError
        If the array has another shape or dtype, or no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> to_gray(np.full((1, 2, 3), 7, np.uint8))
    array([[7, 7]], dtype=uint8)
    """
    if pixels.dtype != np.uint8 or not pixels.size or pixels.ndim < 2 or pixels.shape[2:] not in _TO_GRAY:
        raise ImageError(
            f"an array of shape {pixels.shape} and dtype {pixels.dtype} is not an image: it must be uint8 of "
            "shape (height, width) or (height, width, 1, 3 or 4)"
        )
    code = _TO_GRAY[pixels.shape[2:]]
    if code is None:
        return np.ascontiguousarray(pixels.reshape(pixels.shape[:2]))
    return cv2.cvtColor(pixels, code)  # type: ignore[return-value]
