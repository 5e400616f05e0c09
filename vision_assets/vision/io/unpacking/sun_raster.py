"""Sun raster. Pillow reads bytes and colours; run lengths, and rows of 1 and 32 bits, are read here."""

import re
import struct

import numpy as np
from PIL.SunImagePlugin import SunImageFile

from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.pillow import read_colors
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

_STANDARD, _RUN_LENGTHS, _RGB = 1, 2, 3
_HEADER = 32
_RUN = re.compile(rb"\x80(?:\0|(.)(.))", re.DOTALL)


def unpack(data: bytes) -> StoredImage:
    """Unpack a Sun raster file.

    Raises
    ------
    UnpackError
        If it is truncated.
    """
    width, height, bits, _, kind, _, map_length = struct.unpack_from(">7I", data, 4)
    start, row = _HEADER + map_length, -(-width * bits // 16) * 2
    body = data[start : start + row * height]
    if kind == _RUN_LENGTHS:
        body = _expanded(data[start:], row * height)
        head = bytearray(data[:start])
        struct.pack_into(">II", head, 16, len(body), _STANDARD)
        data = bytes(head) + body
    if bits not in (1, 32):
        return StoredImage(read_colors(SunImageFile, data))
    if len(body) < row * height:
        raise UnpackError("it is truncated")
    rows = np.frombuffer(body, np.uint8).reshape(height, row)
    if bits == 32:
        values = rows[:, : 4 * width].reshape(height, width, 4)[..., 1:]  # the first byte means nothing
        return StoredImage(Pixels(values[..., ::-1] if kind == _RGB else values))
    ones = np.unpackbits(rows, axis=1, count=width)
    if not map_length:
        return StoredImage(Pixels(ones == 0))  # 1 is black
    palette = np.frombuffer(data, np.uint8, map_length, _HEADER).reshape(3, -1).T[:, ::-1]
    return StoredImage(Pixels(palette[np.minimum(ones, len(palette) - 1)]))


def _expanded(packed: bytes, size: int) -> bytes:
    """Expand run lengths to at most `size` bytes. Pillow does not know that they have the padding of rows."""
    expanded, position = bytearray(), 0
    while len(expanded) < size and (run := _RUN.search(packed, position)):
        expanded += packed[position : run.start()]
        expanded += b"\x80" if run[1] is None else run[2] * (run[1][0] + 1)
        position = run.end()
    return bytes((expanded + packed[position : position + size])[:size])
