"""JPEG that is lossless or has more than 8 bits, which OpenCV reads in part or not at all.

OpenCV alone decodes all other JPEG, see `vision_assets.vision.io.decoding`.
"""

import struct

import imagecodecs
import numpy as np

from vision_assets.vision.io.orientation import UPRIGHT, orientation_of_exif
from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.stored import StoredImage

_EXIF = b"Exif\0\0"
_START_OF_SCAN = 0xDA
_FRAMES = range(0xC0, 0xD0)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)


def unpack(data: bytes) -> StoredImage:
    """Unpack a JPEG by libjpeg-turbo in imagecodecs, which converts its colours to red, green and blue."""
    values = np.asarray(imagecodecs.jpeg_decode(data))
    bits, orientation = _read_segments(data)
    white = float(2**bits - 1)
    return StoredImage(Pixels(values if values.ndim == 2 else values[..., ::-1], white), orientation)


def _read_segments(data: bytes) -> tuple[int, int]:
    """Return the bits of a value, and the orientation."""
    bits, orientation, position = 8, UPRIGHT, 2
    while position + 4 < len(data) and data[position + 1] != _START_OF_SCAN:
        code, length = struct.unpack_from(">xBH", data, position)
        if code in _FRAMES and code not in _NO_FRAMES:
            bits = data[position + 4]
        segment = data[position + 4 : position + 2 + length]
        if segment.startswith(_EXIF):
            orientation = orientation_of_exif(segment)
        position += 2 + length
    return bits, orientation
