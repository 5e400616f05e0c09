"""Headers of image files: format and size, read without decoding."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from tifffile import TiffFile

from vision_assets.vision.io.tiff_pages import main_page

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_JPEG_END = b"\xff\xd9"
_JPEG_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_LS_FRAME = 0xF7
_LOSSLESS_FRAMES = (0xC3, 0xC7, 0xCB, 0xCF)
_JPEG_BITS = 8
_JPEG_SCAN = 0xDA

_PNM_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_SIZE = re.compile(rb"P." + _PNM_SPACE + rb"(\d+)" + _PNM_SPACE + rb"(\d+)")
_PAM_WIDTH = re.compile(rb"^WIDTH\s+(\d{1,9})\s*$", re.MULTILINE)
_PAM_HEIGHT = re.compile(rb"^HEIGHT\s+(\d{1,9})\s*$", re.MULTILINE)
_HDR_SIZE = re.compile(rb"^-Y (\d{1,9}) \+X (\d{1,9})", re.MULTILINE)
_TEXT_HEADER_BYTES = 4096
START_BYTES = 64
"""How many first bytes tell the format of a file."""

_TEXT = re.compile(rb"BM(?!.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0)|P[1-6Ff]\s+[^\d#]", re.DOTALL)
"""Beginning of a text, or of anything, that the short marks of BMP and PNM are in by chance."""


class ImageHeader(NamedTuple):
    """Format and size of an image file, as its header claims them.

    Attributes
    ----------
    kind : str or None
        Name of the format, such as ``JPEG``; None for an unknown one. A ``deep JPEG`` has more than 8 bits.
    width, height : int or None
        Size in pixels, as stored, before any EXIF orientation; None if it cannot be read.
    complete : bool
        False if the end of the file is missing, as far as the format tells.
    """

    kind: str | None
    width: int | None = None
    height: int | None = None
    complete: bool = True


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an image file.

    Parameters
    ----------
    data : bytes
        The content of the file; it may be truncated or broken.

    Returns
    -------
    ImageHeader

    Examples
    --------
    >>> read_header(b"P6 640 480 255 ...")
    ImageHeader(kind='PNM', width=640, height=480, complete=True)
    >>> read_header(b"<html>").kind is None
    True
    """
    start = data[:START_BYTES]
    for pattern, read in _HEADER_READERS:
        if pattern.match(start):
            return read(data)
    return ImageHeader(None)


def looks_like_image(start: bytes) -> bool:
    """Tell whether a file begins like an image of a format that is decoded.

    Parameters
    ----------
    start : bytes
        At least the first `START_BYTES` bytes of a file, or all.

    Returns
    -------
    bool

    Examples
    --------
    >>> looks_like_image(b"P6 640 480 255 ..."), looks_like_image(b"P6 is a format.")
    (True, False)
    """
    start = start[:START_BYTES]
    return not _TEXT.match(start) and any(pattern.match(start) for pattern, _ in _HEADER_READERS)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Read the segments of a JPEG up to its first scan; Pillow does not say where the scan begins.

    The end-of-image marker is searched after that: an embedded thumbnail has its own in a segment before it.
    """
    width = height = None
    kind, position = "JPEG", 2
    while marker := _JPEG_MARKER.search(data, position):
        position = marker.end()
        code = marker[1][0]
        if code == _JPEG_SCAN:
            return ImageHeader(kind, width, height, complete=data.find(_JPEG_END, position) >= 0)
        if code in _JPEG_BARE_MARKERS:
            continue
        if code == _JPEG_LS_FRAME:
            return ImageHeader(None)
        if code in _JPEG_FRAMES and len(data) >= position + 7:
            bits, height, width = struct.unpack_from(">BHH", data, position + 2)
            if code in _LOSSLESS_FRAMES:
                kind = "lossless JPEG"
            elif bits != _JPEG_BITS:
                kind = "deep JPEG"
        position += int.from_bytes(data[position : position + 2], "big")
    return ImageHeader(kind, width, height, complete=False)


def _read_png(data: bytes) -> ImageHeader:
    """Read the size of a PNG and check that all its chunks are there.

    OpenCV allocates the memory that a chunk claims to need, up to 4 GB, before it looks for its bytes.
    """
    width, height = struct.unpack_from(">II", data, 16) if len(data) >= 24 else (None, None)
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if name == b"IEND" and position <= len(data):
            return ImageHeader("PNG", width, height)
    return ImageHeader("PNG", width, height, complete=False)


def _read_tiff(data: bytes) -> ImageHeader:
    """Read the size of the page that is decoded; Pillow's class for TIFF refuses kinds of pixels."""
    try:
        with TiffFile(io.BytesIO(data)) as file:
            page = main_page(file)
            return ImageHeader("TIFF", *map(int, (page.imagewidth, page.imagelength)) if page else ())
    except Exception:  # noqa: BLE001 - as in _read_with_pillow
        return ImageHeader("TIFF")


def _read_webp(data: bytes) -> ImageHeader:
    """Read the size from the first chunk, which has one of three layouts."""
    if len(data) < 30:
        return ImageHeader("WebP")
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return ImageHeader("WebP", width + 1, height + 1)
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("WebP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", data, 26)
    return ImageHeader("WebP", width & 0x3FFF, height & 0x3FFF)


def _read_bmp(data: bytes) -> ImageHeader:
    """Read the size; a negative height means that rows run from top to bottom."""
    old = data[14:18] == b"\x0c\0\0\0"
    header = _read_at("BMP", 18, "<HH" if old else "<ii", data)
    return header if header.height is None else header._replace(height=abs(header.height))


def _read_pnm(data: bytes) -> ImageHeader:
    size = _PNM_SIZE.match(data[:_TEXT_HEADER_BYTES])
    return ImageHeader("PNM", int(size[1]), int(size[2])) if size else ImageHeader("PNM")


def _read_pam(data: bytes) -> ImageHeader:
    text = data[:_TEXT_HEADER_BYTES]
    width, height = _PAM_WIDTH.search(text), _PAM_HEIGHT.search(text)
    return ImageHeader("PAM", int(width[1]), int(height[1])) if width and height else ImageHeader("PAM")


def _read_hdr(data: bytes) -> ImageHeader:
    size = _HDR_SIZE.search(data[:_TEXT_HEADER_BYTES])
    return ImageHeader("HDR", int(size[2]), int(size[1])) if size else ImageHeader("HDR")


def _read_at(kind: str, place: int, layout: str, data: bytes) -> ImageHeader:
    """Read width and height at a place that is the same in all files of a format."""
    if len(data) < place + struct.calcsize(layout):
        return ImageHeader(kind)
    return ImageHeader(kind, *struct.unpack_from(layout, data, place))


def _read_with_pillow(kind: str, reader: type[ImageFile], data: bytes) -> ImageHeader:
    """Read a header with Pillow, without decoding.

    The class of the format is used directly: `Image.open` compares the size with Pillow's own limit, and the
    error for a larger image does not tell the size.
    """
    try:
        with _no_warnings():
            return ImageHeader(kind, *reader(io.BytesIO(data)).size)
    except Exception:  # noqa: BLE001 - Pillow raises almost anything on a broken header
        return ImageHeader(kind)


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_HEADER_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], ImageHeader]], ...] = (
    (re.compile(rb"\xff\xd8\xff(?!\xf7)"), _read_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _read_png),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]"), _read_tiff),
    (re.compile(rb"GIF8"), partial(_read_at, "GIF", 6, "<HH")),
    (re.compile(rb"BM"), _read_bmp),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _read_webp),
    (re.compile(rb"....ftyp(?=.*avi[fs])", re.DOTALL), partial(_read_with_pillow, "AVIF", AvifImageFile)),
    (re.compile(rb"\0\0\0\x0cjP|\xff\x4f\xff\x51"), partial(_read_with_pillow, "JPEG 2000", Jpeg2KImageFile)),
    (re.compile(rb"P[1-6Ff]\s"), _read_pnm),
    (re.compile(rb"P7\s"), _read_pam),
    (re.compile(rb"\#\?(RGBE|RADIANCE)"), _read_hdr),
    (re.compile(rb"\x59\xa6\x6a\x95"), partial(_read_at, "Sun raster", 4, ">II")),
)
"""Pattern of the beginning of a file to the function that reads the header."""
