"""The label of an image by its name: a folder that the file is in."""

import re
import unicodedata

BEYOND_PATH = r"(?is)(\.(jpe?g?|a?png|gif|webp|avif|tiff?|bmp|jp2|j2k))[?#].*"
"""Regular expression, for Python and Java: the query or fragment of a URL, after the name of a file."""

WINDOWS_PATH = r"(?s)([A-Za-z]:\\.*|[^/]*)"
"""Regular expression, for Python and Java: a path with backslashes between its parts, perhaps slashes too."""

_BEYOND_PATH, _WINDOWS_PATH = re.compile(BEYOND_PATH), re.compile(WINDOWS_PATH)


def label_of(file_name: str, level: int = 1) -> str | None:
    """Return the label of an image.

    Parameters
    ----------
    file_name : str
        Path of the file relative to the source, with slashes between its parts; backslashes, as in Windows,
        if there is no slash. The query of a URL is no part of the path.
    level : int
        Which folder: 1 is the one that contains the file, 2 the one above it, and so on; -1 is the one at the
        top, -2 the one below it. 0 is none.

    Returns
    -------
    str or None
        Name of the folder, in Unicode's composed form (NFC); None if the path has none at this level.

    Examples
    --------
    >>> label_of("animals/beaver/image_0001.jpg"), label_of("animals/beaver/image_0001.jpg", level=2)
    ('beaver', 'animals')
    >>> label_of("animals/beaver/image_0001.jpg", level=-1)
    'animals'
    >>> label_of("image.jpg") is None
    True
    """
    folders = folders_of(file_name)
    if not 0 < abs(level) <= len(folders):
        return None
    return unicodedata.normalize("NFC", folders[-level if level > 0 else -level - 1])


def folders_of(file_name: str) -> list[str]:
    r"""Return the folders that a file is in, the one at the top first.

    Parameters
    ----------
    file_name : str
        As for `label_of`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> folders_of(r"C:\data\cat\1.jpg"), folders_of("https://host/cat/1.jpg?size=a/b")
    (['C:', 'data', 'cat'], ['https:', 'host', 'cat'])
    """
    path = file_name
    if "?" in path or "#" in path:  # seldom, and a listing has millions of names
        path = _BEYOND_PATH.sub(r"\1", path.partition("?")[0] if "://" in path else path)
    if "\\" in path and _WINDOWS_PATH.fullmatch(path):
        path = path.replace("\\", "/")
    return [part for part in path.split("/") if part not in ("", ".")][:-1]
