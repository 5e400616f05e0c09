"""The label of an image by its name: a folder that the file is in."""

from pathlib import PurePosixPath


def label_of(file_name: str, level: int = 1) -> str | None:
    """Return the label of an image.

    Parameters
    ----------
    file_name : str
        Path of the file relative to the source, with ``/`` between its parts.
    level : int
        Which folder: 1 is the one that contains the file, 2 the one above it, and so on.

    Returns
    -------
    str or None
        Name of the folder; None if the path has none at this level.

    Examples
    --------
    >>> label_of("animals/beaver/image_0001.jpg"), label_of("animals/beaver/image_0001.jpg", level=2)
    ('beaver', 'animals')
    >>> label_of("image.jpg") is None
    True
    """
    folders = PurePosixPath(file_name).parents
    return (folders[level - 1].name or None) if level <= len(folders) else None
