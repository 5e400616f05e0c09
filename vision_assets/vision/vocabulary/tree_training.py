"""Training of a vocabulary tree, node by node."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.options import Options, option
from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.kmeans import DescriptorMatrix, lloyd
from vision_assets.vision.vocabulary.sampling import descriptor_hashes, lowest_distinct
from vision_assets.vision.vocabulary.tree import nearest_child

MOST_WORDS = 2**20


@dataclass(frozen=True)
class TreeOptions(Options):
    """How a vocabulary tree is trained.

    Parameters
    ----------
    branching : int
        Number of children of each node.
    levels : int
        Number of levels below the root: there are up to ``branching ** levels`` words.
    descriptors_per_word : int, optional
        Size of the training sample, per word. None trains on all descriptors.
    max_iter : int
        Maximum number of updates of the centres of a node's children.
    seed : int
        Random seed of the sample and of the initial centres.

    Raises
    ------
    ValueError
        If a value is out of range, or there would be more than 1,048,576 words.
    """

    branching: int = option(
        256,
        "Number of children of each node. A wide, shallow tree finds more than a narrow, deep one of as many "
        "words.",
        ge=2,
        le=1024,
    )
    levels: int = option(
        2,
        "Number of levels below the root: the tree has up to branching to the power of levels words, at most "
        "1,048,576. A collection of millions of images needs more words, so that each has few images.",
        ge=1,
        le=20,
    )
    descriptors_per_word: int | None = option(
        24, "Train on a sample of this many descriptors per word; null trains on all descriptors.", ge=1
    )
    max_iter: int = option(
        6, "Maximum number of updates of the centres of a node's children.", ge=0, le=10_000
    )
    seed: int = option(0, "Random seed of the sample and of the initial centres.", ge=0, le=2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words > MOST_WORDS:
            raise ValueError(
                f"branching {self.branching} and levels {self.levels} make {self.words:,} words, but at most "
                f"{MOST_WORDS:,} are supported"
            )

    @property
    def words(self) -> int:
        """Number of possible words."""
        return self.branching**self.levels


def split_node(
    descriptors: NDArray[np.uint8], options: TreeOptions
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Divide the descriptors of a node among its children.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8
        In any order, which does not matter.
    options : TreeOptions

    Returns
    -------
    centers : ndarray of shape (min(branching, distinct), d), dtype uint8
        The children's centres.
    counts : ndarray of shape (min(branching, distinct),), dtype int64
        How many of the descriptors each child is nearest to.
    """
    hashes = descriptor_hashes(descriptors, options.seed)
    centers, _ = lowest_distinct(descriptors, hashes, options.seed, options.branching)
    if len(centers) == options.branching:
        matrix = DescriptorMatrix(descriptors, options.seed)
        final = lloyd(matrix, Vocabulary(round_centers(centers)), max_iter=options.max_iter, tol=0)
        centers = round_to_bytes(final.vocabulary.centers)
    nearest = nearest_child(descriptors, centers) if len(centers) else np.empty(0, np.intp)
    return centers, np.bincount(nearest, minlength=len(centers)).astype(np.int64)


def round_to_bytes(centers: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round centres half up: ndarray of the same shape, dtype uint8."""
    return np.floor(centers + 0.5).astype(np.uint8)
