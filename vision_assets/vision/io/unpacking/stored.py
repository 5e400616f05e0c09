"""What unpacking an image file gives."""

from typing import NamedTuple

from vision_assets.vision.io.orientation import UPRIGHT
from vision_assets.vision.io.pixels import Pixels


class UnpackError(Exception):
    """A file cannot be unpacked, for a reason that a person understands."""


class StoredImage(NamedTuple):
    """An image as a file stores it.

    Attributes
    ----------
    pixels : Pixels
    orientation : int
        From 1 to 8, as TIFF and Exif define it; 1 is upright.
    """

    pixels: Pixels
    orientation: int = UPRIGHT
