"""Files with several pages, frames or images, made of known values."""

import io
from functools import cache
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from vision_assets_tests.vision import images

PAGES = 3
HEIGHT, WIDTH = 60, 75


def gray_pages() -> list[NDArray[np.uint8]]:
    """Return grey values of each page."""
    return [images.textured(HEIGHT, WIDTH, seed=seed) for seed in range(PAGES)]


def color_pages() -> list[NDArray[np.uint8]]:
    """Return colours of each page, red first."""
    return [images.colored(HEIGHT, WIDTH, seed=seed) for seed in range(PAGES)]


def tiff(pages: list[NDArray[Any]], *, big: bool = False, order: Any = "<", **options: Any) -> bytes:
    """Write pages with tifffile."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=big, byteorder=order) as writer:
        for page in pages:
            writer.write(page, **options)
    return buffer.getvalue()


def pyramids() -> bytes:
    """Write three pages: above a reduced image, before a reduced image, and below a reduced image."""
    first, second, third = gray_pages()
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(first, subifds=1, tile=(16, 16))
        writer.write(first[::2, ::2], subfiletype=1, tile=(16, 16))
        writer.write(second)
        writer.write(second[::2, ::2], subfiletype=1)
        writer.write(third[::4, ::4], subfiletype=1, subifds=1)
        writer.write(third, rowsperstrip=8, compression="zlib")
    return buffer.getvalue()


def animation(kind: str, frames: list[Image.Image], **options: Any) -> bytes:
    """Write frames with Pillow."""
    return images.encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def pgm(values: NDArray[np.uint8]) -> bytes:
    """Write an image, with a comment in its header."""
    height, width = values.shape
    return b"P5\n# a comment\n%d %d\n255\n" % (width, height) + values.tobytes()


@cache
def paged_files() -> dict[str, bytes]:
    """Return a file with three pages for each format, and for each byte order and size of TIFF."""
    grays = gray_pages()
    pictures = [Image.fromarray(page) for page in color_pages()]
    return {
        "tiff": tiff(grays, rowsperstrip=7, compression="zlib"),
        "big-endian tiff": tiff(grays, order=">"),
        "bigtiff": tiff(grays, big=True, tile=(16, 16)),
        "big-endian bigtiff": tiff(grays, big=True, order=">"),
        "pyramids": pyramids(),
        "gif": animation("GIF", [picture.quantize(32) for picture in pictures]),
        "apng": animation("PNG", pictures),
        "apng with another default image": animation("PNG", pictures, default_image=True),
        "webp": animation("WEBP", pictures, lossless=True),
        "avif": animation("AVIF", pictures, quality=100, subsampling="4:4:4"),
        "pgm": b"\n".join(map(pgm, grays)),
    }
