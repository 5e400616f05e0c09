"""The label of an image: the folder that its file is in."""

from pathlib import PurePosixPath


def label_of(file_name: str) -> str | None:
    """Return the label of an image.

    Parameters
    ----------
    file_name : str
        Path of the file relative to the source, with ``/`` between its parts.

    Returns
    -------
    str or None
        Name of the folder that contains the file; None if it is at the top.

    Examples
    --------
    >>> label_of("animals/beaver/image_0001.jpg")
    'beaver'
    >>> label_of("image.jpg") is None
    True
    """
    return PurePosixPath(file_name).parent.name or None
