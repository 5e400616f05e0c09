"""Columns of Arrow batches as arrays, without copying."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def binary_values(cells: pa.BinaryArray, dtype: np.dtype) -> NDArray:
    """View the values in all cells of a column, one cell after the other, without copying.

    Parameters
    ----------
    cells : pyarrow.BinaryArray
        Without nulls.
    dtype : dtype
        Type of the values: uint8 or float32.

    Returns
    -------
    ndarray of shape (total number,), dtype uint8 or float32
    """
    _, offsets_buffer, values_buffer = cells.buffers()
    if values_buffer is None:
        return np.empty(0, dtype)
    width = np.int64 if pa.types.is_large_binary(cells.type) else np.int32
    offsets = np.frombuffer(offsets_buffer, width)[cells.offset : cells.offset + len(cells) + 1]
    return np.frombuffer(values_buffer, np.uint8)[offsets[0] : offsets[-1]].view(dtype)


def binary_column(rows: NDArray[np.uint8]) -> pa.BinaryArray:
    """Make a column of cells of equal length, without copying them.

    Parameters
    ----------
    rows : ndarray of shape (N, length), dtype uint8

    Returns
    -------
    pyarrow.BinaryArray
    """
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    data = np.ascontiguousarray(rows)
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def list_column(matrix: NDArray[np.floating]) -> pa.ListArray:
    """Return the rows of a matrix as a column of lists, without copying.

    Parameters
    ----------
    matrix : ndarray of shape (M, k), any float dtype
        In C order.

    Returns
    -------
    pyarrow.ListArray
        M lists of k values.
    """
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1)))


def list_values(lists: pa.ListArray) -> NDArray[Any]:
    """View a column of equally long lists as a matrix, without copying.

    Parameters
    ----------
    lists : pyarrow.ListArray
        M lists of k values, without nulls.

    Returns
    -------
    ndarray of shape (M, k), dtype of the values
    """
    return lists.flatten().to_numpy().reshape(len(lists), -1)
