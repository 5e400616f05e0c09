"""The frames of GIF, animated PNG, animated WebP and sequences of AVIF: how many, and each as a PNG."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombWarning, Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vision_assets.vision.io.headers import read_header
from vision_assets.vision.io.orientation import orientation_of_exif, upright
from vision_assets.vision.io.pixels import Pixels

_MOST_PIXELS = 1 << 25
"""The largest frame that is read: 8K. Pillow holds several copies of a frame."""

_MOST_PIXELS_OF_ALL = 10**10
"""The most pixels that all frames of a file may have together; some kilobytes may claim far more."""

_GIF_HEADER_BYTES = 13
_GIF_BLOCK = re.compile(rb"[!,;]")
_PNG_HEADER_BYTES = 33
_WEBP_HEADER_BYTES = 30


class Format(NamedTuple):
    """A format of animations.

    Attributes
    ----------
    count : callable
        Takes a file, returns how many frames it has.
    reader : type
        Pillow's class.
    header_bytes : int
        So many bytes of a file say its size and are no image.
    """

    count: Callable[[bytes], int]
    reader: type[ImageFile]
    header_bytes: int


def _count_gif(data: bytes) -> int:
    """Count the blocks that are images; blocks of other kinds are skipped."""
    frames = 0
    with suppress(IndexError):  # the file is truncated
        position = _GIF_HEADER_BYTES + _color_table_bytes(data[10])
        while block := _GIF_BLOCK.search(data, position):
            position = block.end()
            if block[0] == b";":
                break
            if block[0] == b",":
                frames += 1
                position += 10 + _color_table_bytes(data[position + 8])
            else:
                position += 1
            while length := data[position]:
                position += 1 + length
            position += 1
    return frames


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _count_png(data: bytes) -> int:
    """Count the frames, and the default image if it is none of them. All that are missing count as one."""
    claimed, frames, is_in_animation, position = 0, 0, False, 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"acTL" and position + 12 <= len(data):
            (claimed,) = struct.unpack_from(">I", data, position + 8)
        elif name == b"fcTL":
            frames += 1
        elif name == b"IDAT":
            if not claimed:
                return 1
            is_in_animation = is_in_animation or frames > 0
        position += 12 + length
    return frames + (not is_in_animation) + (claimed > frames)


def _count_webp(data: bytes) -> int:
    frames, position = 0, 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        frames += name == b"ANMF"
        position += 8 + length + length % 2
    return frames


def _count_avif(data: bytes) -> int:
    with AvifImageFile(io.BytesIO(data)) as image:
        return int(image.n_frames)


FORMATS: Mapping[str, Format] = {
    "GIF": Format(_count_gif, GifImageFile, _GIF_HEADER_BYTES),
    "PNG": Format(_count_png, PngImageFile, _PNG_HEADER_BYTES),
    "WebP": Format(_count_webp, WebPImageFile, _WEBP_HEADER_BYTES),
    "AVIF": Format(_count_avif, AvifImageFile, 16),
}
"""Formats by their names in `vision_assets.vision.io.headers`."""


def split(kind: str, data: bytes, count: int) -> Iterator[bytes]:
    """Yield the frames of an animation, composed as programs show them.

    Parameters
    ----------
    kind : str
        Name of the format.
    data : bytes
    count : int
        How many frames there are.

    Yields
    ------
    bytes
        A PNG of 8 bits, upright, without transparency. The header of the file alone, which cannot be decoded,
        in place of a frame that cannot be read.
    """
    error_page, frames = data[: FORMATS[kind].header_bytes], 0
    header = read_header(data)
    pixels = (header.width or 0) * (header.height or 0)
    if 0 < pixels <= _MOST_PIXELS:
        for frame in _frames(FORMATS[kind].reader, data, min(count, _MOST_PIXELS_OF_ALL // pixels)):
            frames += 1
            yield frame or error_page
    for _ in range(frames, count):
        yield error_page


def _frames(reader: type[ImageFile], data: bytes, count: int) -> Iterator[bytes | None]:
    """Yield each frame that the file has, None for one that cannot be read; nothing if the file is broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = reader(io.BytesIO(data))
    except Exception:  # noqa: BLE001 - Pillow raises almost anything on a broken file
        return
    with image:
        orientation = orientation_of_exif(image.info.get("exif") or b"")
        for number in range(count):
            frame = None
            # Not while a frame is yielded: the filter of warnings is that of the process.
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", DecompressionBombWarning)  # a frame may exceed its file
                image.seek(number)
                frame = _png(image, orientation)
            yield frame


def _png(image: Image, orientation: int) -> bytes:
    image.load()
    if image.mode.startswith("I"):
        values = Pixels(np.asarray(image).astype(np.uint16), 65535.0).to_gray()
    else:
        values = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    values = upright(values, orientation)
    return cv2.imencode(".png", np.ascontiguousarray(values if values.ndim == 2 else values[..., ::-1]))[
        1
    ].tobytes()
