"""The order of the images that a search has found."""

import numpy as np
from numpy.typing import NDArray


def best(scores: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the images of the highest scores.

    Parameters
    ----------
    scores : ndarray of shape (N,), dtype int64
        Score of each image.
    count : int
        How many to return at most.

    Returns
    -------
    ndarray of shape (min(count, images with a score),), dtype int64
        Indices, best first; the lower index of equally good ones. Images without a vote are not among them.

    Examples
    --------
    >>> best(np.array([0, 7, 9, 7, 1]), 3).tolist()
    [2, 1, 3]
    """
    found = np.flatnonzero(scores)
    if len(found) > count:
        # Only those that may be among the best are sorted.
        least = np.partition(scores[found], len(found) - count)[len(found) - count]
        found = found[scores[found] >= least]
    order = np.argsort(-scores[found], kind="stable")
    return found[order[:count]]
