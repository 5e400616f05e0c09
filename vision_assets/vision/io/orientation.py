"""The orientation of images: where files store it, and how an image is turned upright."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Exif

UPRIGHT = 1
_ORIENTATION_TAG = 0x112
_TRANSPOSED = (5, 6, 7, 8)


def orientation_of_exif(exif: bytes) -> int:
    """Return the orientation in a block of Exif.

    Parameters
    ----------
    exif : bytes
        With or without the word ``Exif`` and two zeros before it.

    Returns
    -------
    int
        From 1 to 8; 1, upright, if there is none or the block is broken.
    """
    found = Exif()
    try:
        found.load(exif)
        return valid_orientation(found.get(_ORIENTATION_TAG))
    except Exception:  # noqa: BLE001 - Pillow raises almost anything on a broken block
        return UPRIGHT


def valid_orientation(value: Any) -> int:
    """Return an orientation if it is one, else 1."""
    return int(value) if value in range(1, 9) else UPRIGHT


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an image upright.

    Parameters
    ----------
    values : ndarray of shape (height, width) or (height, width, 3)
        The image as it is stored.
    orientation : int
        From 1 to 8, as TIFF and Exif define it.

    Returns
    -------
    ndarray
        A view.

    Examples
    --------
    >>> import numpy as np
    >>> upright(np.array([[1, 2, 3]]), 6)  # the upper left pixel is stored at the upper right
    array([[1],
           [2],
           [3]])
    """
    if orientation in _TRANSPOSED:
        values = np.swapaxes(values, 0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return values
