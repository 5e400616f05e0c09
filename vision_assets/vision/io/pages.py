"""The pages of an image file that has several: how many there are, and each as a file of its own."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from vision_assets.vision.io import animations, netpbm_images
from vision_assets.vision.io.tiff_directories import TiffDirectories

_START_BYTES = 64
_MOST_EXPANSION = 200
_ALWAYS_ALLOWED_BYTES = 1 << 30


class _Format(NamedTuple):
    start: re.Pattern[bytes]
    count: Callable[[bytes], int]
    split: Callable[[bytes, int], Iterator[bytes]]


def count_pages(data: bytes) -> int:
    """Return how many pages, frames or images a file has; nothing is decoded.

    Parameters
    ----------
    data : bytes
        The content of a file; it may be truncated or broken.

    Returns
    -------
    int
        Pages of a TIFF that are no reduced images, frames of an animation, images of a netpbm file; 1 for a
        file of any other kind, and for one of which even that cannot be read.

    Examples
    --------
    >>> count_pages(b"P5 2 1 255 ab" b"P5 1 1 255 c")
    2
    >>> count_pages(b"no image")
    1
    """
    if found := _format_of(data):
        try:
            return max(1, found.count(data))
        except Exception:  # noqa: BLE001 - a broken file is one that cannot be decoded
            return 1
    return 1


def split_pages(data: bytes) -> Iterator[bytes]:
    """Yield each page of a file as a file of its own, one after the other.

    Parameters
    ----------
    data : bytes
        The content of a file; it may be truncated or broken.

    Yields
    ------
    bytes
        As many as `count_pages` says. A file with one page is unchanged. A page of a TIFF and an image of a
        netpbm file are copied as they are stored. A frame is a PNG of 8 bits. In place of a page that cannot
        be read comes a file that cannot be decoded either.

    Examples
    --------
    >>> list(split_pages(b"P5 2 1 255 ab" b"P5 1 1 255 c"))
    [b'P5 2 1 255 ab', b'P5 1 1 255 c']
    """
    count, found = count_pages(data), _format_of(data)
    if count == 1 or found is None:
        yield data
    else:
        yield from found.split(data, count)


def _format_of(data: bytes) -> _Format | None:
    start = data[:_START_BYTES]
    return next((one for one in _FORMATS if one.start.match(start)), None)


def _count_tiff(data: bytes) -> int:
    return len(TiffDirectories(data).full_pages())


def _split_tiff(data: bytes, _: int) -> Iterator[bytes]:
    """Copy each page, as long as all together do not become far more than the file.

    Pages may share what they refer to, so that some kilobytes could become terabytes.
    """
    directories = TiffDirectories(data)
    allowed = _MOST_EXPANSION * len(data) + _ALWAYS_ALLOWED_BYTES
    for page in directories.full_pages():
        copy = directories.copy(page) if allowed > 0 else directories.error_page()
        allowed -= len(copy)
        yield copy


_FORMATS = (
    _Format(re.compile(rb"II[*+]\x00|MM\x00[*+]"), _count_tiff, _split_tiff),
    *(
        _Format(re.compile(start, re.DOTALL), animations.FORMATS[kind].count, partial(animations.split, kind))
        for kind, start in {
            "GIF": rb"GIF8",
            "PNG": rb"\x89PNG\r\n\x1a\n",
            "WebP": rb"RIFF....WEBP",
            "AVIF": rb"....ftyp(?=.*avis)",
        }.items()
    ),
    _Format(
        re.compile(rb"P[4-7Ff]\s"),
        lambda data: sum(1 for _ in netpbm_images.images(data)),
        lambda data, _: netpbm_images.images(data),
    ),
)
