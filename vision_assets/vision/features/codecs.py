"""Binary table cells as matrices, without copying."""

import numpy as np
import numpy.typing as npt

from vision_assets.vision.vocabulary.fixed_point import Descriptors

KEYPOINT_FIELDS = ("x", "y", "size", "angle", "response")


def descriptor_matrix(cell: bytes, length: int = 128, dtype: npt.DTypeLike = np.uint8) -> Descriptors:
    """View a cell of descriptors as a matrix with one row per descriptor.

    Parameters
    ----------
    cell : bytes
        N descriptors of `length` values each, one after the other.
    length : int
        Values in a descriptor.
    dtype : dtype
        Of the values: uint8 or float32, little-endian.

    Returns
    -------
    ndarray of shape (N, length), dtype uint8 or float32
        Read-only; shares the memory of `cell`.

    Raises
    ------
    ValueError
        If the size of `cell` is not a multiple of a descriptor's.
    """
    size = length * np.dtype(dtype).itemsize
    if length < 1 or len(cell) % size:
        raise ValueError(f"a cell of {len(cell)} bytes does not hold descriptors of {size} bytes")
    return np.frombuffer(cell, dtype=dtype).reshape(len(cell) // size, length)


def keypoint_matrix(cell: bytes) -> npt.NDArray[np.float32]:
    """View a cell of keypoints as a matrix with one row per keypoint.

    Parameters
    ----------
    cell : bytes
        N keypoints of five little-endian float32 values each, see `KEYPOINT_FIELDS`.

    Returns
    -------
    ndarray of shape (N, 5), dtype float32
        x, y, size, angle, response. Read-only; shares the memory of `cell`.

    Raises
    ------
    ValueError
        If the size of `cell` is not a multiple of a keypoint's 20 bytes.
    """
    columns = len(KEYPOINT_FIELDS)
    if len(cell) % (4 * columns):
        raise ValueError(f"a cell of {len(cell)} bytes does not hold keypoints of {4 * columns} bytes")
    return np.frombuffer(cell, dtype="<f4").reshape(-1, columns)
