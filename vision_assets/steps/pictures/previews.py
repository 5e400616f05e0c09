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
# Images of a snapshot never change, and the pictures of several assets of a run show the same ones.
_PREVIEWS: dict[str, dict[str, Image]] = {}


def load_previews(sample: ImageSample, names: Sequence[str]) -> dict[str, Image]:
    """Return small versions of some images of a sample; those that cannot be decoded are left out."""
    made = _PREVIEWS.get(sample.uri, {})
    missing = [name for name in names if name not in made]
    if missing:
        made = made | sample.compute(missing, _preview_of_image)
    _PREVIEWS.clear()
    _PREVIEWS[sample.uri] = dict(list(made.items())[:SHEET_IMAGES])
    return {name: made[name] for name in names if name in made}


def _preview_of_image(_: str, data: bytes) -> Image:
    return decode_preview(data, side=_SIDE, max_pixels=LARGEST_SHOWN)
