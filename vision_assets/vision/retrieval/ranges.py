"""Ranges of integers as one array of indices."""

import numpy as np
from numpy.typing import NDArray


def join_ranges(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join ranges of integers to one array.

    Parameters
    ----------
    starts, ends : ndarray of shape (N,), dtype int64
        First integer of each range, and the first one after it.

    Returns
    -------
    ndarray of shape (sum of the lengths,), dtype int64

    Examples
    --------
    >>> join_ranges(np.array([3, 9, 20]), np.array([5, 9, 22])).tolist()
    [3, 4, 20, 21]
    """
    counts = ends - starts
    joined = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    joined += np.arange(len(joined))
    return joined
