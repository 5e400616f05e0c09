"""The pages of a TIFF, and which of them is the image."""

from collections.abc import Iterator

from tifffile import TiffFile, TiffFrame, TiffPage


def main_page(file: TiffFile) -> TiffPage | None:
    """Return the first page that is not a reduced image of another one, which some programs write before it.

    Parameters
    ----------
    file : TiffFile

    Returns
    -------
    TiffPage or None
        The first page if all are reduced; None if there is no page.
    """
    first = None
    for page in _pages(file):
        if not page.is_reduced:
            return page
        first = first or page
    return first


def _pages(file: TiffFile) -> Iterator[TiffPage]:
    """Yield all pages, each before those below it, such as the full image below a preview."""
    for page in file.pages:
        full = page.aspage() if isinstance(page, TiffFrame) else page
        yield full
        for below in full.pages or ():
            yield below.aspage() if isinstance(below, TiffFrame) else below
