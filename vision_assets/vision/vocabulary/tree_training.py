"""Training of a vocabulary tree, node by node."""

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.kmeans import DescriptorMatrix, lloyd
from vision_assets.vision.vocabulary.sampling import descriptor_hashes, lowest_distinct


def split_node(descriptors: NDArray[np.uint8], branching: int, max_iter: int, seed: int) -> NDArray[np.uint8]:
    """Divide the descriptors of a node among its children.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8
        In any order, which does not matter.
    branching : int
        Number of children; fewer if there are fewer distinct descriptors.
    max_iter : int
        Maximum number of updates of the centres.
    seed : int
        Random seed of the initial centres.

    Returns
    -------
    ndarray of shape (min(branching, distinct), d), dtype uint8
        The children's centres.
    """
    hashes = descriptor_hashes(descriptors, seed)
    initial, _ = lowest_distinct(descriptors, hashes, seed, branching)
    if len(initial) < branching:
        return initial
    start = Vocabulary(round_centers(initial))
    final = lloyd(DescriptorMatrix(descriptors, seed), start, max_iter=max_iter, tol=0)
    return round_to_bytes(final.vocabulary.centers)


def round_to_bytes(centers: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round centres half up: ndarray of the same shape, dtype uint8."""
    return np.floor(centers + 0.5).astype(np.uint8)
