"""Small versions of stored images."""

from collections.abc import Sequence

from vision_assets.steps.pictures.sample import ImageSample
from vision_assets.vision.draw import Image
from vision_assets.vision.io.decoding import decode_preview

SHEET_IMAGES = 30
"""Number of images on a contact sheet."""
LARGEST_SHOWN = 10**8
"""Pixels of the largest image that is shown: by default, as large as the largest one that is extracted."""
_SIDE = 320  # of a preview in pixels


def load_previews(sample: ImageSample, names: Sequence[str]) -> dict[str, Image]:
    """Return small versions of some images of a sample; those that cannot be decoded are left out."""
    return sample.compute(names, _preview_of_image)


def _preview_of_image(_: str, data: bytes) -> Image:
    return decode_preview(data, side=_SIDE, max_pixels=LARGEST_SHOWN)
