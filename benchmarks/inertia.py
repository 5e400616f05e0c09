"""The sum of squared distances to the nearest centre, for whoever's centres."""

import numpy as np
from numpy.typing import NDArray

_ROWS = 4096


def inertia(descriptors: NDArray[np.uint8], centers: NDArray[np.number]) -> float:
    """Return the sum of squared distances of the descriptors to their nearest centre, in float64."""
    centers = centers.astype(np.float64)
    half_norms = np.einsum("ij,ij->i", centers, centers) / 2
    total = 0.0
    for start in range(0, len(descriptors), _ROWS):
        x = descriptors[start : start + _ROWS].astype(np.float64)
        difference = x - centers[(half_norms - x @ centers.T).argmin(axis=1)]
        total += float(np.einsum("ij,ij->", difference, difference))
    return total
