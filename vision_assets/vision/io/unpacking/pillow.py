"""Formats that Pillow unpacks: GIF."""

import io
import warnings

import numpy as np
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile

from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.unpacking.stored import StoredImage


def unpack_gif(data: bytes) -> StoredImage:
    """Unpack the first frame of a GIF. A transparent pixel has the colour that the palette gives it."""
    return StoredImage(read_colors(GifImageFile, data))


def read_colors(reader: type[ImageFile], data: bytes) -> Pixels:
    """Return the colours of an image file, without its transparency.

    Parameters
    ----------
    reader : type
        Pillow's class of the format. `Image.open` would compare the size with Pillow's own limit.
    data : bytes
    """
    with warnings.catch_warnings(), reader(io.BytesIO(data)) as image:
        warnings.simplefilter("ignore")
        image.load()
        is_gray = image.mode in ("1", "L")
        values = np.asarray(image.convert("L" if is_gray else "RGB"))
    return Pixels(values if is_gray else values[..., ::-1])
