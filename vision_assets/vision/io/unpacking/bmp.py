"""BMP. Pillow reads palettes, run lengths and headers of all ages; bit fields of any layout are read here."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile

from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.pillow import read_colors
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

_RGB, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
_COMPRESSIONS = {4: "JPEG", 5: "PNG"}
_MASKS_OF_16_BITS = (0x7C00, 0x03E0, 0x001F)
_OLD_HEADER = 12


def unpack(data: bytes) -> StoredImage:
    """Unpack a BMP.

    Raises
    ------
    UnpackError
        If the file is truncated, or has a JPEG or a PNG in it.
    """
    offset, header = struct.unpack_from("<II", data, 10)
    if header > _OLD_HEADER:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        if compression in _COMPRESSIONS:
            raise UnpackError(f"a BMP with a {_COMPRESSIONS[compression]} in it")
        if compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS) and bits in (16, 32):
            masks = struct.unpack_from("<III", data, 54)
            return StoredImage(_bit_fields(data[offset:], width, height, bits, masks))
        if compression == _RGB and bits == 16:
            return StoredImage(_bit_fields(data[offset:], width, height, bits, _MASKS_OF_16_BITS))
    return StoredImage(read_colors(BmpImageFile, data))


def _bit_fields(body: bytes, width: int, height: int, bits: int, masks: tuple[int, ...]) -> Pixels:
    row = -(-width * bits // 32) * 4
    if len(body) < row * abs(height):
        raise UnpackError("it is truncated")
    values = np.frombuffer(body, f"<u{bits // 8}", row * abs(height) * 8 // bits)
    values = values.reshape(abs(height), -1)[:, :width]
    if height > 0:  # rows from the lowest to the highest
        values = values[::-1]
    return Pixels(np.stack([_channel(values, mask) for mask in masks[::-1]], axis=2), 65535.0)


def _channel(values: NDArray[Any], mask: int) -> NDArray[np.uint16]:
    """Return one field, stretched to 16 bits; zeros where its mask is empty."""
    shift = (mask & -mask).bit_length() - 1 if mask else 0
    largest = mask >> shift
    if largest == 0:
        return np.zeros(values.shape, np.uint16)
    field = (values.astype(np.uint64) & mask) >> shift
    return ((field * 65535 * 2 + largest) // (2 * largest)).astype(np.uint16)
