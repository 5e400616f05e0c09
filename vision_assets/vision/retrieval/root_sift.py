"""RootSIFT: SIFT descriptors whose Euclidean distance is the Hellinger distance of the histograms."""

import numpy as np
from numpy.typing import NDArray

_ROWS = 4096  # at once, so that the values stay in the processor's cache
_NORM = 512


def root_sift(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert SIFT descriptors to RootSIFT.

    Parameters
    ----------
    descriptors : ndarray of shape (N, 128), dtype uint8

    Returns
    -------
    ndarray of shape (N, 128), dtype uint8
        ``512 · sqrt(d / sum(d))``, rounded, at most 255. A descriptor of zeros stays one.

    Notes
    -----
    Arandjelović, Zisserman: Three things everyone should know to improve object retrieval, 2012. Every
    operation is one that IEEE 754 rounds correctly, so the bytes are the same on every processor.

    Examples
    --------
    >>> import numpy as np
    >>> root_sift(np.array([[1, 3, 0, 60]], np.uint8)).tolist()
    [[64, 111, 0, 255]]
    """
    roots = np.empty(descriptors.shape, np.uint8)
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        sums = descriptors[rows].sum(axis=1, dtype=np.int32, keepdims=True)
        values = descriptors[rows].astype(np.float32)
        values /= np.maximum(sums, 1).astype(np.float32)
        np.sqrt(values, out=values)
        values *= _NORM
        np.rint(values, out=values)
        np.minimum(values, 255, out=values)
        roots[rows] = values
    return roots
