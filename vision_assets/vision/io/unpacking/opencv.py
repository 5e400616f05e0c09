"""Formats that OpenCV unpacks without loss if asked not to convert: PNG, WebP, AVIF, JPEG 2000, HDR."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.AvifImagePlugin import AvifImageFile

from vision_assets.vision.io.orientation import UPRIGHT, orientation_of_exif, valid_orientation
from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
_EXIF_BYTES = 2**20
_RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
_ORIENTATION_TAG = 0x112
_MONOCHROME = 0x10


def imdecode(data: bytes, mode: int) -> NDArray[Any]:
    """Decode an image file with OpenCV.

    Parameters
    ----------
    data : bytes
    mode : int
        OpenCV's flags.

    Raises
    ------
    UnpackError
        If OpenCV gives a reason or nothing.
    """
    try:
        with _silent_opencv():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise UnpackError(f"OpenCV: {opencv_reason(error)}") from error
    if image is None:
        raise UnpackError("it is broken, or of a kind that OpenCV cannot decode")
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


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's log messages off stderr: the exception or the missing result tells the same."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def unpack_png(data: bytes) -> StoredImage:
    """Unpack a PNG; the first frame of an animation."""
    return StoredImage(Pixels(imdecode(data, _AS_STORED)), _png_orientation(data))


def _png_orientation(data: bytes) -> int:
    """Look for Exif in its own chunk, or in a text chunk as ImageMagick and old programs write it."""
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        position += 12 + length
        if name == b"eXIf":
            return orientation_of_exif(content)
        if name in (b"tEXt", b"zTXt", b"iTXt") and content.startswith(_RAW_PROFILES):
            return orientation_of_exif(_raw_profile(name, content))
    return UPRIGHT


def _raw_profile(chunk: bytes, content: bytes) -> bytes:
    """Return the bytes of a raw profile: after a name and a length, lines of hexadecimal digits."""
    text = content.partition(b"\0")[2]
    try:
        if chunk == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _EXIF_BYTES)
        elif chunk == b"iTXt":
            is_compressed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[2]
            text = zlib.decompressobj().decompress(text, _EXIF_BYTES) if is_compressed else text
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except (zlib.error, ValueError, IndexError):
        return b""


def unpack_webp(data: bytes) -> StoredImage:
    """Unpack a WebP; the first frame of an animation."""
    orientation, position = UPRIGHT, 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name == b"EXIF":
            orientation = orientation_of_exif(data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return StoredImage(Pixels(imdecode(data, _AS_STORED)), orientation)


def unpack_avif(data: bytes) -> StoredImage:
    """Unpack an AVIF; the first frame of a sequence.

    Its properties `irot` and `imir` turn and mirror it, which Pillow puts together into one orientation. Exif
    inside an AVIF says nothing about that.
    """
    is_gray = bool(_avif_flags(data) & _MONOCHROME)
    # OpenCV does not expand the limited range of grey values.
    values = np.asarray(imagecodecs.avif_decode(data, index=0)) if is_gray else imdecode(data, _AS_STORED)
    if is_gray and values.ndim == 3:
        values = values[..., 0]
    try:
        orientation = valid_orientation(AvifImageFile(io.BytesIO(data)).getexif().get(_ORIENTATION_TAG))
    except Exception:  # noqa: BLE001 - Pillow raises almost anything on a broken file
        orientation = UPRIGHT
    return StoredImage(Pixels(values, _largest(_avif_bits(data))), orientation)


def _avif_flags(data: bytes) -> int:
    """Read the flags in the configuration of the AV1 stream; 0 if there is none."""
    return data[at + 6] if (at := data.find(b"av1C")) >= 0 and at + 6 < len(data) else 0


def _avif_bits(data: bytes) -> int:
    flags = _avif_flags(data)
    if not flags & 0x40:
        return 8
    return 12 if flags & 0x20 else 10


def unpack_jpeg_2000(data: bytes) -> StoredImage:
    """Unpack a JPEG 2000 file or code stream."""
    try:
        values = imdecode(data, _AS_STORED)
    except UnpackError:  # fewer than 8 bits, signed values, grey with alpha and the like
        values = _without_alpha(np.asarray(imagecodecs.jpeg2k_decode(data)))
    at = data.find(b"\xff\x4f\xff\x51") + 2  # the size segment, which begins the code stream
    bits = (data[at + 40] & 0x7F) + 1 if 2 <= at < len(data) - 40 else 8 * values.dtype.itemsize
    return StoredImage(Pixels(values, _largest(bits)))


def _without_alpha(values: NDArray[Any]) -> NDArray[Any]:
    """Return grey values of an image with or without alpha, or blue, green and red."""
    if values.ndim == 2 or values.shape[2] <= 2:
        return values if values.ndim == 2 else values[..., 0]
    if values.shape[2] != 3:
        raise UnpackError(f"it has {values.shape[2]} values per pixel, of unknown meaning")
    return values[..., ::-1]


def _largest(bits: int) -> float:
    return float(2**bits - 1)


def unpack_hdr(data: bytes) -> StoredImage:
    """Unpack a Radiance HDR image: floats, of which 1 is white."""
    return StoredImage(Pixels(imdecode(data, _AS_STORED), 1.0))
