"""Decoding of one image file's bytes, guarded against what cannot or should not be decoded."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, ImageFileDirectory_v2

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_JPEG_END = b"\xff\xd9"
_JPEG_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA

_PNM_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_SIZE = re.compile(rb"P." + _PNM_SPACE + rb"(\d+)" + _PNM_SPACE + rb"(\d+)")
_PAM_WIDTH = re.compile(rb"^WIDTH\s+(\d{1,9})\s*$", re.MULTILINE)
_PAM_HEIGHT = re.compile(rb"^HEIGHT\s+(\d{1,9})\s*$", re.MULTILINE)
_HDR_SIZE = re.compile(rb"^-Y (\d{1,9}) \+X (\d{1,9})", re.MULTILINE)
_TEXT_HEADER_BYTES = 4096

_LONGEST_SIDE = np.iinfo(np.int32).max  # OpenCV and tables know no larger numbers

_REDUCED_MODES = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class ImageError(Exception):
    """An image that cannot be used. The message says in one line what is wrong with it.

    Parameters
    ----------
    message : str
        What is wrong, in one line.
    width, height : int, optional
        Size in pixels, as far as it is known: of the decoded image or else as its header claims it.

    Attributes
    ----------
    width, height : int or None
        See above.
    """

    def __init__(self, message: str, *, width: int | None = None, height: int | None = None) -> None:
        super().__init__(message)
        self.width = width
        self.height = height


class _Header(NamedTuple):
    """What an image file says about itself; None where it says nothing that can be read."""

    kind: str | None
    width: int | None = None
    height: int | None = None
    complete: bool = True


def decode_gray(data: bytes, *, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode an image file to grey values.

    The result is that of ``cv2.imdecode(..., cv2.IMREAD_GRAYSCALE)``: an EXIF orientation is applied, 16-bit
    values become 8-bit ones, an alpha channel is dropped, and of an animation it is the first frame.

    Parameters
    ----------
    data : bytes
        The content of the file, in any format that OpenCV knows.
    max_pixels : int
        The largest width x height to decode, in pixels. An image whose header claims more is refused without
        decoding it.

    Returns
    -------
    ndarray of shape (height, width), dtype uint8
        Grey values.

    Raises
    ------
    ImageError
        If `data` is empty, not an image, larger than `max_pixels` or claims to be, truncated, broken or of a
        kind that OpenCV cannot decode.

    Notes
    -----
    A JPEG is taken as whole if an end-of-image marker follows its first scan. One that lost data before an
    intact end decodes, with grey in place of what is lost, as everywhere else where libjpeg is at work.
    """
    image = _decode(data, max_pixels, lambda _: cv2.IMREAD_GRAYSCALE)
    # OpenCV gives a PFM with the channels that it has, whatever is asked for.
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]


def decode_preview(data: bytes, *, side: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode an image file to a small picture in colour.

    Parameters
    ----------
    data : bytes
        The content of the file, in any format that OpenCV knows.
    side : int
        The longer side of the picture in pixels; a smaller image is not enlarged.
    max_pixels : int
        The largest width x height to decode, in pixels.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        Blue, green, red.

    Raises
    ------
    ImageError
        As `decode_gray` does.
    """
    image = _decode(data, max_pixels, partial(_preview_mode, side))
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]  # as in decode_gray
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _preview_mode(side: int, header: _Header) -> int:
    """Have libjpeg decode at an eighth, a quarter or half of the size where that is enough."""
    longer = max(header.width or 0, header.height or 0)
    for factor, mode in _REDUCED_MODES:
        if header.kind == "JPEG" and longer >= factor * side:
            return mode
    return cv2.IMREAD_COLOR_BGR


def _decode(data: bytes, max_pixels: int, mode: Callable[[_Header], int]) -> npt.NDArray[np.uint8]:
    if not data:
        raise ImageError("the file is empty")
    header = _read_header(data)
    if header.width is not None and header.height is not None:
        _check_size(header.width, header.height, max_pixels)
    if not header.complete:
        raise ImageError(
            f"the {header.kind} image is truncated: its end is missing",
            width=header.width,
            height=header.height,
        )
    if header.kind is not None and header.width is None:
        # OpenCV would decode whatever size it finds there.
        raise _undecodable(data, header)
    image = _imdecode(data, header, mode(header))
    # Again, for kinds of images that are not known here.
    _check_size(image.shape[1], image.shape[0], max_pixels)
    return image


def opencv_reason(error: cv2.error) -> str:
    """Return OpenCV's reason for an error as one line, without names of its source files.

    Parameters
    ----------
    error : cv2.error
        What OpenCV raised.

    Returns
    -------
    str
        For example ``pixels <= CV_IO_MAX_IMAGE_PIXELS``, the assertion that failed.
    """
    reason = getattr(error, "err", None) or str(error).rpartition("error: ")[2]
    return " ".join(reason.split()) or "unknown error"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not (0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE):
        raise ImageError(f"no image has the size that it claims, {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} pixels are more than max_pixels = {max_pixels} allows",
            width=width,
            height=height,
        )


def _imdecode(data: bytes, header: _Header, mode: int) -> npt.NDArray[np.uint8]:
    try:
        with _silent_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(
            f"OpenCV cannot decode it: {opencv_reason(error)}", width=header.width, height=header.height
        ) from error
    if image is None:
        raise _undecodable(data, header)
    return image  # type: ignore[return-value]  # without IMREAD_ANYDEPTH it is uint8 always


def _undecodable(data: bytes, header: _Header) -> ImageError:
    if header.kind is None:
        return ImageError(f"not an image that OpenCV knows: its first bytes are {data[:8]!r}")
    return ImageError(
        f"the {header.kind} image is truncated, broken or of a kind that OpenCV cannot decode",
        width=header.width,
        height=header.height,
    )


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log messages off stderr; the exception or the missing result says it too."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _read_header(data: bytes) -> _Header:
    start = data[:16]
    for pattern, read in _HEADER_READERS:
        if pattern.match(start):
            return read(data)
    return _Header(None)


def _read_jpeg(data: bytes) -> _Header:
    """Read a JPEG's segments up to its first scan; Pillow does not say where the scan begins.

    An embedded thumbnail has an end-of-image marker of its own, but inside a segment, before the scan.
    """
    width = height = None
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        position = marker.end()
        code = marker[1][0]
        if code == _JPEG_SCAN:
            return _Header("JPEG", width, height, complete=data.find(_JPEG_END, position) >= 0)
        if code in _JPEG_BARE_MARKERS:
            continue
        if code in _JPEG_FRAMES and len(data) >= position + 7:
            height, width = struct.unpack_from(">HH", data, position + 3)
        position += int.from_bytes(data[position : position + 2], "big")
    return _Header("JPEG", width, height, complete=False)


def _read_png(data: bytes) -> _Header:
    """Read a PNG's size and see whether all its chunks are there.

    For a chunk OpenCV takes the memory that it says it needs, up to 4 GB, before it looks for its bytes.
    """
    width, height = struct.unpack_from(">II", data, 16) if len(data) >= 24 else (None, None)
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if name == b"IEND" and position <= len(data):
            return _Header("PNG", width, height)
    return _Header("PNG", width, height, complete=False)


def _read_tiff(data: bytes) -> _Header:
    """Read only the two tags: Pillow's class for TIFF refuses kinds of pixels that OpenCV decodes."""
    try:
        with _no_warnings():
            file = io.BytesIO(data)
            directory = ImageFileDirectory_v2(file.read(16 if data[2:4] in {b"+\x00", b"\x00+"} else 8))
            file.seek(directory.next)
            directory.load(file)
            return _Header("TIFF", int(directory[IMAGEWIDTH]), int(directory[IMAGELENGTH]))
    except Exception:  # noqa: BLE001 - as in _read_with_pillow
        return _Header("TIFF")


def _read_webp(data: bytes) -> _Header:
    """Read the size from the first chunk, which is of one of three kinds."""
    if len(data) < 30:
        return _Header("WebP")
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return _Header("WebP", width + 1, height + 1)
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return _Header("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", data, 26)
    return _Header("WebP", width & 0x3FFF, height & 0x3FFF)


def _read_bmp(data: bytes) -> _Header:
    """Read the size; a negative height says that the rows go down."""
    old = data[14:18] == b"\x0c\0\0\0"
    header = _read_at("BMP", 18, "<HH" if old else "<ii", data)
    return header if header.height is None else header._replace(height=abs(header.height))


def _read_pnm(data: bytes) -> _Header:
    size = _PNM_SIZE.match(data[:_TEXT_HEADER_BYTES])
    return _Header("PNM", int(size[1]), int(size[2])) if size else _Header("PNM")


def _read_pam(data: bytes) -> _Header:
    text = data[:_TEXT_HEADER_BYTES]
    width, height = _PAM_WIDTH.search(text), _PAM_HEIGHT.search(text)
    return _Header("PAM", int(width[1]), int(height[1])) if width and height else _Header("PAM")


def _read_hdr(data: bytes) -> _Header:
    size = _HDR_SIZE.search(data[:_TEXT_HEADER_BYTES])
    return _Header("HDR", int(size[2]), int(size[1])) if size else _Header("HDR")


def _read_at(kind: str, place: int, layout: str, data: bytes) -> _Header:
    """Read width and height where all files of a format have them."""
    if len(data) < place + struct.calcsize(layout):
        return _Header(kind)
    return _Header(kind, *struct.unpack_from(layout, data, place))


def _read_with_pillow(kind: str, reader: type[ImageFile], data: bytes) -> _Header:
    """Have Pillow read a header; it decodes nothing yet.

    Its class of the format is used directly: `Image.open` compares the size with Pillow's own limit, and its
    error for larger images does not say what the size is.
    """
    try:
        with _no_warnings():
            return _Header(kind, *reader(io.BytesIO(data)).size)
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on a broken header
        return _Header(kind)


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# By the first 16 bytes of a file.
_HEADER_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], _Header]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _read_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _read_png),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]"), _read_tiff),
    (re.compile(rb"GIF8"), partial(_read_at, "GIF", 6, "<HH")),
    (re.compile(rb"BM"), _read_bmp),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _read_webp),
    (re.compile(rb"....ftyp", re.DOTALL), partial(_read_with_pillow, "AVIF", AvifImageFile)),
    (re.compile(rb"\0\0\0\x0cjP|\xff\x4f\xff\x51"), partial(_read_with_pillow, "JPEG 2000", Jpeg2KImageFile)),
    (re.compile(rb"P[1-6Ff]\s"), _read_pnm),
    (re.compile(rb"P7\s"), _read_pam),
    (re.compile(rb"\#\?(RGBE|RADIANCE)"), _read_hdr),
    (re.compile(rb"\x59\xa6\x6a\x95"), partial(_read_at, "Sun raster", 4, ">II")),
)
