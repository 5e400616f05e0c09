"""Labels of images."""

from pathlib import PurePosixPath


def label_of(file_name: str) -> str | None:
    """Return the name of the folder that a file is in; None without one.

    Examples
    --------
    >>> label_of("101_ObjectCategories/beaver/image_0001.jpg")
    'beaver'
    """
    return PurePosixPath(file_name).parent.name or None
