"""Text in pictures: one line of characters that the font has, no wider than its place."""

import unicodedata
from bisect import bisect_right
from functools import cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_LONGEST = 300
_ELLIPSIS = "…"
_MISSING = "□"


def shorten(text: str, limit: int) -> str:
    """Shorten a text in its middle, because names of classes and files often differ at the end.

    Parameters
    ----------
    text : str
    limit : int
        Maximum number of characters, including the ellipsis; 1 or more.

    Returns
    -------
    str
        `text` itself if it is short enough.

    Examples
    --------
    >>> shorten("butterfly_0001.jpg", 11)
    'butte…1.jpg'
    """
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return text[: limit - 1 - tail] + _ELLIPSIS + text[len(text) - tail :]


def printable(text: str) -> str:
    """Convert a text to one line of at most 300 characters that the font has.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        White space becomes one blank, control characters are removed, and a box replaces a character that
        the font lacks.
    """
    line = shorten(" ".join(unicodedata.normalize("NFC", text).split()), _LONGEST)
    known = _code_points()
    return "".join(
        character if ord(character) in known else _MISSING
        for character in line
        if unicodedata.category(character) not in {"Cc", "Cf"}
    )


def fitted(text: str, font: Font, width: float) -> str:
    """Convert a text to a printable line of at most a width.

    Parameters
    ----------
    text : str
    font : Font
    width : float
        Maximum width in pixels, at least that of an ellipsis.

    Returns
    -------
    str
    """
    line = printable(text)
    if font.getlength(line) <= width:
        return line
    fitting = bisect_right(range(1, len(line)), width, key=lambda limit: font.getlength(shorten(line, limit)))
    return shorten(line, max(1, fitting))


@cache
def get_font(size: int, *, bold: bool = False) -> Font:
    """Return the sans-serif font that comes with Matplotlib, the same on every machine.

    Parameters
    ----------
    size : int
        Size in pixels.
    bold : bool

    Returns
    -------
    Font
    """
    # Not every build of Pillow has the other layout engine.
    return ImageFont.truetype(_font_file(bold), size, layout_engine=ImageFont.Layout.BASIC)


def _font_file(bold: bool) -> Path:
    import matplotlib as mpl  # noqa: PLC0415 - takes half a second, and not all that import this module draw

    return Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def _code_points() -> frozenset[int]:
    """Return the characters that both weights have; Matplotlib warns about others."""
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415 - as above

    plain, bold = (FT2Font(_font_file(bold)).get_charmap() for bold in (False, True))
    return frozenset(plain) & frozenset(bold)
