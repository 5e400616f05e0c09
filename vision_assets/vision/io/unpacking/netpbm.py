"""PBM, PGM, PPM, PAM and PFM, which OpenCV reads without regard to the largest value that they declare."""

import io

import numpy as np
from netpbmfile import NetpbmFile

from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.stored import StoredImage

_COLORS = 3


def unpack(data: bytes) -> StoredImage:
    """Unpack the first image of a file."""
    with NetpbmFile(io.BytesIO(data)) as file:
        values, kind, white = file.asarray(), file.magicnumber, float(file.maxval)
        frames = file.frames
    values = values[0] if frames > 1 else values
    if kind in ("P1", "P4"):
        values = ~values.astype(bool)  # 1 is black
    elif kind in ("PF", "Pf"):
        values = values[::-1]  # rows from the lowest to the highest
    if values.ndim > 2:
        values = values[..., _COLORS - 1 :: -1] if values.shape[2] >= _COLORS else values[..., 0]
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return StoredImage(Pixels(np.asarray(native), white or None))  # a PFM declares none
