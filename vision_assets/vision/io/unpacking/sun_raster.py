"""Sun raster. Pillow reads bytes and run lengths; rows of 1, 24 and 32 bits are read here."""

import struct

import numpy as np
from PIL.SunImagePlugin import SunImageFile

from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.pillow import read_colors
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

_RUN_LENGTHS, _RGB = 2, 3
_HEADER = 32


def unpack(data: bytes) -> StoredImage:
    """Unpack a Sun raster file.

    Raises
    ------
    UnpackError
        If it is truncated, or has run lengths of 1 or 32 bits.
    """
    width, height, bits, _, kind, _, map_length = struct.unpack_from(">7I", data, 4)
    if bits not in (1, 32):
        return StoredImage(read_colors(SunImageFile, data))
    if kind == _RUN_LENGTHS:
        raise UnpackError(f"run lengths of {bits} bits")
    row = -(-width * bits // 16) * 2
    body = data[_HEADER + map_length : _HEADER + map_length + row * height]
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
