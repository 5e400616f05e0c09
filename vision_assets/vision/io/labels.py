"""The label of an image by its name: a folder that the file is in."""

import unicodedata


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
    path = file_name.partition("?")[0] if "://" in file_name else file_name
    separator = "/" if "/" in path else "\\"
    folders = [part for part in path.split(separator) if part not in ("", ".")][:-1]
    if not 0 < abs(level) <= len(folders):
        return None
    return unicodedata.normalize("NFC", folders[-level if level > 0 else -level - 1])
