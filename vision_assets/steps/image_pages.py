"""Pages as images of their own: the first has the key of its file, the others `name.tif#2` and so on."""

import re
from collections.abc import Iterator

from vision_assets.steps.sources.image_files import Pair
from vision_assets.vision.io.pages import split_pages

PAGE_SUFFIX = "#([2-9]|[1-9][0-9]+)$"
"""Regular expression, for Python and Java, of what keys of pages have and those of files usually have not."""

_PAGE_SUFFIX = re.compile(PAGE_SUFFIX)


def pages_of(pair: Pair) -> Iterator[Pair]:
    """Yield the pages of a file, each with its key."""
    key, data = pair
    for number, page in enumerate(split_pages(data), 1):
        yield (key if number == 1 else f"{key}#{number}"), page


def file_of(key: str) -> str:
    """Return the key of the file that a page is from, if it has the key of a page.

    Examples
    --------
    >>> file_of("scans/a.tif#12"), file_of("scans/a.tif")
    ('scans/a.tif', 'scans/a.tif')
    """
    return _PAGE_SUFFIX.sub("", key)


def begins_file(pair: Pair) -> bool:
    """Tell whether a pair is not a page after the first one."""
    return not _PAGE_SUFFIX.search(pair[0])
