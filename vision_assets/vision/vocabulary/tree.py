"""A tree of visual words: a descriptor's path from the root to a leaf is its word."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

_ROWS = 2048  # per product of the root, so that its scores fit into the processor's cache


class Children(NamedTuple):
    """The children of some nodes of one level.

    Attributes
    ----------
    parents : ndarray of shape (M,), dtype int32
        The nodes, ascending.
    sizes : ndarray of shape (M,), dtype int32
        How many children each of them has.
    centers : ndarray of shape (K, d), dtype uint8
        Centres of the children, one parent after the other.
    counts : ndarray of shape (K,), dtype int64
        Training descriptors of each child.
    """

    parents: NDArray[np.int32]
    sizes: NDArray[np.int32]
    centers: NDArray[np.uint8]
    counts: NDArray[np.int64]

    def numbers(self, branching: int) -> NDArray[np.int32]:
        """Return the numbers of the children in their own level: shape (K,), dtype int32."""
        first = self.parents.astype(np.int64) * branching
        index = np.arange(len(self.centers)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        return (np.repeat(first, self.sizes) + index).astype(np.int32)


@dataclass(frozen=True)
class VocabularyTree:
    """A tree whose nodes are centres of descriptors of bytes.

    The nodes of a level are numbered: child j of node i is node ``i * branching + j`` of the next level. The
    nodes of the last level are the words. A node may have fewer children than `branching`; their numbers are
    the first ones.

    Parameters
    ----------
    branching : int
        Largest number of children of a node.
    centers : tuple of ndarray of shape (branching ** level, 128), dtype uint8
        Centres of the nodes of each level, from level 1 on. Rows of missing nodes have any value.
    children : tuple of ndarray of shape (branching ** level,), dtype int32
        How many children each node of a level has, from level 0 on, which is the root alone; 0 for a node
        that is missing.
    """

    branching: int
    centers: tuple[NDArray[np.uint8], ...]
    children: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, branching: int, levels: Sequence[Children]) -> Self:
        """Make a tree of the children of all nodes.

        Parameters
        ----------
        branching : int
        levels : sequence of Children
            Those of the root, then those of all its children, and so on.

        Returns
        -------
        VocabularyTree
        """
        centers, children = [], []
        for level, below in enumerate(levels):
            centers.append(np.zeros((branching ** (level + 1), below.centers.shape[1]), np.uint8))
            centers[-1][below.numbers(branching)] = below.centers
            children.append(np.zeros(branching**level, np.int32))
            children[-1][below.parents] = below.sizes
        return cls(branching, tuple(centers), tuple(children))

    @property
    def levels(self) -> int:
        """Number of levels below the root."""
        return len(self.centers)

    @property
    def words(self) -> int:
        """Number of possible words: those of missing nodes are never assigned."""
        return self.branching**self.levels

    def assign(self, descriptors: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Assign each descriptor to a word: at each level, to the nearest child.

        Parameters
        ----------
        descriptors : ndarray of shape (N, d), dtype uint8
            At most 128 values each.

        Returns
        -------
        ndarray of shape (N,), dtype int32
            The same on every processor: scores are exact in float32. The first one of equally near children.
        """
        nodes = np.zeros(len(descriptors), np.int32)
        for centers, children in zip(self.centers, self.children, strict=True):
            below = np.empty_like(nodes)
            for node, rows in group_by_node(nodes):
                first = node * self.branching
                child_centers = centers[first : first + children[node]]
                below[rows] = first + nearest_child(descriptors[rows], child_centers)
            nodes = below
        return nodes


def nearest_child(descriptors: NDArray[np.uint8], centers: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the nearest of a few centres for each descriptor.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8
        At most 128 values each.
    centers : ndarray of shape (k, d), dtype uint8

    Returns
    -------
    ndarray of shape (N,), dtype intp
        The first one of equally near centres.

    Notes
    -----
    ``‖x - c‖² = ‖x‖² - 2 (x·c - ‖c‖² / 2)``, and the term in brackets is the score that is maximised. It, and
    each partial sum of it, is a multiple of 1/2 below ``128 · 255² < 2²³``, which float32 represents exactly.
    """
    factors = centers.astype(np.float32)
    half_norms = np.einsum("ij,ij->i", factors, factors) / 2
    nearest = np.empty(len(descriptors), np.intp)
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        scores = descriptors[rows].astype(np.float32) @ factors.T
        scores -= half_norms
        nearest[rows] = scores.argmax(axis=1)
    return nearest


def group_by_node(nodes: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp] | slice]]:
    """Yield each node that occurs, and which rows have it: an index of an array.

    Parameters
    ----------
    nodes : ndarray of shape (N,), dtype int32
        Node of each row.
    """
    if not len(nodes):
        return
    if nodes[0] == nodes[-1] and (nodes == nodes[0]).all():
        yield int(nodes[0]), slice(None)
        return
    order = np.argsort(nodes, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(nodes[order])) + 1, len(nodes))
    start = 0
    for end in ends.tolist():
        yield int(nodes[order[start]]), order[start:end]
        start = end
