"""Decodes the content of an image file, and refuses what cannot or should not be decoded."""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from vision_assets.vision.io.formats import UNSUPPORTED
from vision_assets.vision.io.headers import ImageHeader, read_header
from vision_assets.vision.io.orientation import upright
from vision_assets.vision.io.pixels import DECLARED, ValueRange
from vision_assets.vision.io.unpacking import UNPACKERS
from vision_assets.vision.io.unpacking.opencv import imdecode
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

DECODING_VERSION = "2"
"""Changes when the grey values of an image change that is decoded already."""

UNCHANGED_SINCE: Mapping[str, frozenset[str]] = {"1": frozenset({"JPEG"})}
"""Each earlier version, and the formats whose grey values are still the same as in that version."""

_LONGEST_SIDE = np.iinfo(np.int32).max  # the largest number that OpenCV and the tables can store

_COLORS = 3
_LONGEST_REASON = 200
_MAGIC_BYTES = 256

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


def decode_gray(data: bytes, *, max_pixels: int, value_range: ValueRange = DECLARED) -> npt.NDArray[np.uint8]:
    """Decode an image file to grey values.

    Those of a JPEG are OpenCV's: its luminance, which is stored apart from colour. Those of all other formats
    are a function of the stored values alone, see `vision_assets.vision.io.pixels`. An orientation is
    applied, an alpha channel is dropped, and of several frames or pages the first is decoded.

    Parameters
    ----------
    data : bytes
        The content of the file, in a format of `vision_assets.vision.io.headers`.
    max_pixels : int
        The largest width x height to decode, in pixels. An image whose header claims more is refused without
        being decoded.
    value_range : str
        Which stored values become black and white, as `Pixels.limits` takes it.

    Returns
    -------
    ndarray of shape (height, width), dtype uint8
        Grey values.

    Raises
    ------
    ImageError
        If `data` is empty, not an image, truncated, broken, of a kind that cannot be decoded, or larger than
        `max_pixels` or claims to be.

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
    header = _checked_header(data, max_pixels)
    if header.kind == "JPEG":
        return _decode_jpeg(data, header, cv2.IMREAD_GRAYSCALE, max_pixels)
    stored = _unpack(data, header, max_pixels)
    return np.ascontiguousarray(upright(stored.pixels.to_gray(value_range), stored.orientation))


def decode_preview(
    data: bytes, *, side: int, max_pixels: int, value_range: ValueRange = DECLARED
) -> npt.NDArray[np.uint8]:
    """Decode an image file to a small colour picture.

    Parameters
    ----------
    data : bytes
        The content of the file.
    side : int
        Longer side of the picture in pixels; a smaller image is not enlarged.
    max_pixels : int
        The largest width x height to decode, in pixels.
    value_range : str
        As in `decode_gray`.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        Channels are blue, green, red.

    Raises
    ------
    ImageError
        In the same cases as `decode_gray`.
    """
    header = _checked_header(data, max_pixels)
    if header.kind == "JPEG":
        image = _decode_jpeg(data, header, _preview_mode(side, header), max_pixels)
    else:
        stored = _unpack(data, header, max_pixels)
        image = np.ascontiguousarray(upright(stored.pixels.to_color(value_range), stored.orientation))
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


def _checked_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of a file; raise `ImageError` if nothing should be decoded."""
    if not data:
        raise ImageError("the file is empty")
    header = read_header(data)
    if header.kind is None:
        raise ImageError(_unknown(data))
    if header.width is not None and header.height is not None:
        _check_size(header.width, header.height, max_pixels)
    if not header.complete:
        raise _error(header, "it is truncated: its end is missing")
    if header.width is None:
        # A decoder might read a size there that exceeds the limit.
        raise _error(header, "its header is broken")
    return header


def _decode_jpeg(data: bytes, header: ImageHeader, mode: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    try:
        image = imdecode(data, mode)
    except UnpackError as error:
        raise _error(header, str(error)) from error
    _check_size(image.shape[1], image.shape[0], max_pixels)
    return image


def _unpack(data: bytes, header: ImageHeader, max_pixels: int) -> StoredImage:
    try:
        stored = UNPACKERS[header.kind or ""](data)
    except UnpackError as error:
        raise _error(header, str(error)) from error
    except Exception as error:  # libraries raise almost anything on a broken file
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise _error(header, f"it is broken ({reason})") from error
    shape = stored.pixels.values.shape
    if len(shape) not in (2, 3) or 0 in shape or shape[2:] not in ((), (_COLORS,)):
        raise _error(header, f"it is broken: it has values of shape {shape}")
    height, width = shape[:2]
    # The header of some formats was not read before.
    _check_size(width, height, max_pixels)
    return stored


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise ImageError(f"the header claims an impossible size of {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} pixels exceed max_pixels = {max_pixels}",
            width=width,
            height=height,
        )


def _error(header: ImageHeader, why: str) -> ImageError:
    return ImageError(
        f"the {header.kind} image cannot be decoded: {why}", width=header.width, height=header.height
    )


def _unknown(data: bytes) -> str:
    """Say what a file is that cannot be decoded."""
    for pattern, what, advice in UNSUPPORTED:
        if pattern.match(data[:_MAGIC_BYTES]):
            return f"{what} is not supported: {advice}"
    return f"not an image in a supported format: the file begins with {data[:8]!r}"
