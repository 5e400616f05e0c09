"""Decodes the content of an image file, and refuses what cannot or should not be decoded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from vision_assets.vision.io.headers import ImageHeader, read_header

_LONGEST_SIDE = np.iinfo(np.int32).max  # the largest number that OpenCV and the tables can store

_REDUCED_MODES = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class ImageError(Exception):
    """An image that cannot be used.

    Parameters
    ----------
    message : str
        What is wrong, in one line.
    width, height : int, optional
        Size in pixels, if known: that of the decoded image, or else the one that its header claims.

    Attributes
    ----------
    width, height : int or None
        The size, None if unknown.
    """

    def __init__(self, message: str, *, width: int | None = None, height: int | None = None) -> None:
        super().__init__(message)
        self.width = width
        self.height = height


def decode_gray(data: bytes, *, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode an image file to grey values.

    The result is that of ``cv2.imdecode(..., cv2.IMREAD_GRAYSCALE)``: an EXIF orientation is applied, 16-bit
    values become 8-bit ones, an alpha channel is dropped, and an animation gives its first frame.

    Parameters
    ----------
    data : bytes
        The content of the file, in any format that OpenCV reads.
    max_pixels : int
        The largest width x height to decode, in pixels. An image whose header claims more is refused without
        being decoded.

    Returns
    -------
    ndarray of shape (height, width), dtype uint8
        Grey values.

    Raises
    ------
    ImageError
        If `data` is empty, not an image, truncated, broken, of a kind that OpenCV cannot decode, or larger
        than `max_pixels` or claims to be.

    Notes
    -----
    A JPEG counts as complete if an end-of-image marker follows its first scan. One that lost data before an
    intact end is decoded with grey in place of the lost part, as by any program that uses libjpeg.

    Examples
    --------
    >>> import cv2, numpy as np
    >>> _, data = cv2.imencode(".png", np.array([[0, 128, 255]], np.uint8))
    >>> decode_gray(data.tobytes(), max_pixels=100)
    array([[  0, 128, 255]], dtype=uint8)
    """
    image = _decode(data, max_pixels, lambda _: cv2.IMREAD_GRAYSCALE)
    # OpenCV returns a PFM with the channels of the file, whatever the mode.
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]


def decode_preview(data: bytes, *, side: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode an image file to a small colour picture.

    Parameters
    ----------
    data : bytes
        The content of the file, in any format that OpenCV reads.
    side : int
        Longer side of the picture in pixels; a smaller image is not enlarged.
    max_pixels : int
        The largest width x height to decode, in pixels.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        Channels are blue, green, red.

    Raises
    ------
    ImageError
        In the same cases as `decode_gray`.
    """
    image = _decode(data, max_pixels, partial(_preview_mode, side))
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]  # as in decode_gray
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _preview_mode(side: int, header: ImageHeader) -> int:
    """Choose OpenCV's mode: libjpeg can decode at an eighth, a quarter or half of the size, much faster."""
    longer = max(header.width or 0, header.height or 0)
    for factor, mode in _REDUCED_MODES:
        if header.kind == "JPEG" and longer >= factor * side:
            return mode
    return cv2.IMREAD_COLOR_BGR


def _decode(data: bytes, max_pixels: int, mode: Callable[[ImageHeader], int]) -> npt.NDArray[np.uint8]:
    if not data:
        raise ImageError("the file is empty")
    header = read_header(data)
    if header.width is not None and header.height is not None:
        _check_size(header.width, header.height, max_pixels)
    if not header.complete:
        raise ImageError(
            f"the {header.kind} image is truncated: its end is missing",
            width=header.width,
            height=header.height,
        )
    if header.kind is not None and header.width is None:
        # OpenCV might read a size there that exceeds the limit.
        raise _undecodable(data, header)
    image = _imdecode(data, header, mode(header))
    # The header of some formats was not read before.
    _check_size(image.shape[1], image.shape[0], max_pixels)
    return image


def opencv_reason(error: cv2.error) -> str:
    """Return the reason of an OpenCV error in one line, without names of source files.

    Parameters
    ----------
    error : cv2.error
        The exception.

    Returns
    -------
    str
        For example ``pixels <= CV_IO_MAX_IMAGE_PIXELS``, the assertion that failed.
    """
    reason = getattr(error, "err", None) or str(error).rpartition("error: ")[2]
    return " ".join(reason.split()) or "unknown error"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise ImageError(f"the header claims an impossible size of {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} pixels exceed max_pixels = {max_pixels}",
            width=width,
            height=height,
        )


def _imdecode(data: bytes, header: ImageHeader, mode: int) -> npt.NDArray[np.uint8]:
    try:
        with _silent_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(
            f"OpenCV cannot decode the image: {opencv_reason(error)}",
            width=header.width,
            height=header.height,
        ) from error
    if image is None:
        raise _undecodable(data, header)
    return image  # type: ignore[return-value]  # always uint8 without IMREAD_ANYDEPTH


def _undecodable(data: bytes, header: ImageHeader) -> ImageError:
    if header.kind is None:
        return ImageError(f"not an image in a format that OpenCV reads: the file begins with {data[:8]!r}")
    return ImageError(
        f"the {header.kind} image is truncated, broken or of a kind that OpenCV cannot decode",
        width=header.width,
        height=header.height,
    )


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log messages off stderr: the exception or the missing result tells the same."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
