"""Binary cells of the features table as matrices, without copying."""

import numpy as np
import numpy.typing as npt

from vision_assets.vision.vocabulary.fixed_point import Descriptors

KEYPOINT_FIELDS = ("x", "y", "size", "angle", "response")
"""Values of a keypoint, in their order in a cell."""


def descriptor_matrix(cell: bytes, length: int = 128, dtype: npt.DTypeLike = np.uint8) -> Descriptors:
    """View a cell of descriptors as a matrix.

    Parameters
    ----------
    cell : bytes
        N descriptors of `length` values each, one after the other.
    length : int
        Number of values of a descriptor.
    dtype : dtype
        Type of the values: uint8, or float32 in little-endian order.

    Returns
    -------
    ndarray of shape (N, length), dtype uint8 or float32
        One row per descriptor. It is read-only and shares the memory of `cell`.

    Raises
    ------
    ValueError
        If the size of `cell` is not a multiple of the size of a descriptor.

    Examples
    --------
    >>> descriptor_matrix(bytes(range(6)), length=3)
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """
    size = length * np.dtype(dtype).itemsize
    if length < 1 or len(cell) % size:
        raise ValueError(f"a cell of {len(cell)} bytes does not contain descriptors of {size} bytes each")
    return np.frombuffer(cell, dtype=dtype).reshape(len(cell) // size, length)


def keypoint_matrix(cell: bytes) -> npt.NDArray[np.float32]:
    """View a cell of keypoints as a matrix.

    Parameters
    ----------
    cell : bytes
        N keypoints of five little-endian float32 values each, see `KEYPOINT_FIELDS`.

    Returns
    -------
    ndarray of shape (N, 5), dtype float32
        One row per keypoint: x, y, size, angle, response. It is read-only and shares the memory of `cell`.

    Raises
    ------
    ValueError
        If the size of `cell` is not a multiple of the 20 bytes of a keypoint.
    """
    columns = len(KEYPOINT_FIELDS)
    if len(cell) % (4 * columns):
        raise ValueError(
            f"a cell of {len(cell)} bytes does not contain keypoints of {4 * columns} bytes each"
        )
    return np.frombuffer(cell, dtype="<f4").reshape(-1, columns)
