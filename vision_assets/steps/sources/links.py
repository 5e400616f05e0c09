"""Where links inside an archive lead."""

import re
from collections.abc import Mapping

_MOST_LINKS = 40  # on the way to one member, as Linux has it; more are a loop


def resolved(path: str, links: Mapping[str, str]) -> str:
    """Return where a path leads if it, or a folder in it, is a link.

    Parameters
    ----------
    path : str
        From the top of the archive.
    links : mapping
        Path of a link to the path that it names.

    Returns
    -------
    str
        A path without links, unless they are a loop.

    Examples
    --------
    >>> resolved("new/1.jpg", {"new": "last", "last": "2024/cats"})
    '2024/cats/1.jpg'
    """
    for _ in range(_MOST_LINKS):
        link = next((place for place in (*folders_above(path), path) if place in links), None)
        if link is None:
            break
        path = links[link] + path.removeprefix(link)
    return path


def folders_above(path: str) -> list[str]:
    """Return the folders that a path is in, the one at the top first.

    Examples
    --------
    >>> folders_above("2024/cats/1.jpg")
    ['2024', '2024/cats']
    """
    return [path[: slash.start()] for slash in re.finditer("/", path)]
