"""Encoded pictures, small enough for Markdown."""

import base64
import io
from bisect import bisect_right
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from vision_assets.vision.draw.text import shorten

Image = NDArray[np.uint8]
"""An image as OpenCV decodes it: BGR of shape (height, width, 3), or grey of shape (height, width)."""

MAX_BYTES = 74_000
"""Maximum size of a picture: in base64 and with its title it takes less than 100,000 bytes."""

_QUALITIES = range(1, 93)
_COLOURS = (256, 128, 64, 32, 16, 8, 4)
_TITLE_LIMIT = 200
# Each of these could end the alternative text, or begin markup that extends beyond it.
_MARKDOWN = str.maketrans({"[": "(", "]": ")", "<": "{", ">": "}", "`": "'", "\\": "/", "&": "+"})


class Picture(NamedTuple):
    """An encoded picture.

    Attributes
    ----------
    data : bytes
        Content of the image file, at most `MAX_BYTES`.
    media_type : str
        `image/png` or `image/jpeg`.
    title : str
        Alternative text.
    """

    data: bytes
    media_type: str
    title: str

    def markdown(self) -> str:
        """Return Markdown with the picture embedded in it.

        Returns
        -------
        str
            At most 100,000 bytes in UTF-8.
        """
        line = " ".join(self.title.split()).encode(errors="replace").decode()
        title = shorten(line, _TITLE_LIMIT).translate(_MARKDOWN)
        return f"![{title}](data:{self.media_type};base64,{base64.b64encode(self.data).decode()})"


def jpeg_picture(canvas: PillowImage.Image, title: str) -> Picture:
    """Encode a picture with photos as JPEG, in the best quality that fits.

    Parameters
    ----------
    canvas : PIL.Image.Image
        RGB image.
    title : str
        Alternative text.

    Returns
    -------
    Picture
    """

    @cache
    def encoded(quality: int) -> bytes:
        # Colours have full resolution, because coloured lines are thin.
        return _saved(canvas, "JPEG", quality=quality, subsampling=0, optimize=True)

    fitting = bisect_right(_QUALITIES, MAX_BYTES, key=lambda quality: len(encoded(quality)))
    return Picture(encoded(_QUALITIES[max(0, fitting - 1)]), "image/jpeg", title)


def png_picture(canvas: PillowImage.Image, title: str, ramp: NDArray[np.uint8] | None = None) -> Picture:
    """Encode a picture of lines, areas and text as PNG, with as many colours as fit.

    Parameters
    ----------
    canvas : PIL.Image.Image
        RGB image.
    title : str
        Alternative text.
    ramp : ndarray of shape (n, 3), dtype uint8, optional
        RGB colours that suffice together with greys. By default the most frequent colours are kept, and rare
        ones are replaced by similar ones.

    Returns
    -------
    Picture
    """
    for colours in _COLOURS:
        data = _saved(_with_palette(canvas, colours, ramp), "PNG", optimize=True)
        if len(data) <= MAX_BYTES:
            break
    return Picture(data, "image/png", title)


def _with_palette(
    canvas: PillowImage.Image, colours: int, ramp: NDArray[np.uint8] | None
) -> PillowImage.Image:
    if ramp is None:
        return canvas.quantize(colours, PillowImage.Quantize.MEDIANCUT, dither=PillowImage.Dither.NONE)
    greys = max(2, colours // 8)
    palette = PillowImage.new("P", (1, 1))
    chosen = [
        ramp[np.linspace(0, len(ramp) - 1, colours - greys).astype(np.intp)],
        np.linspace(0, 255, greys).astype(np.uint8)[:, None].repeat(3, axis=1),
    ]
    palette.putpalette(np.concatenate(chosen).tobytes())
    return canvas.quantize(palette=palette, dither=PillowImage.Dither.NONE)


def _saved(canvas: PillowImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, kind, **options)
    return buffer.getvalue()
