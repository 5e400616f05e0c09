"""Hamming embedding: 64 bits that tell where a descriptor is within the cell of its visual word."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.sampling import random_numbers
from vision_assets.vision.vocabulary.tree import VocabularyTree

BITS = 64
_LENGTH = 128
_ROWS = 4096


class SignatureEncoder:
    """Computes the signatures of descriptors.

    Bit i of a signature tells whether the i-th projection of a descriptor exceeds that of the centre of its
    word. Projections are sums of the 128 values with the signs of a row of a Hadamard matrix, whose columns
    have random signs of their own.

    Parameters
    ----------
    tree : VocabularyTree
        Of descriptors of 128 bytes.

    Notes
    -----
    Jégou, Douze, Schmid: Hamming embedding and weak geometric consistency for large scale image search, 2008.
    There the projections are random and orthogonal, and compared with the medians of the training
    descriptors of the word. Projections by signs are integers, hence exact, and centres need no second pass.
    """

    def __init__(self, tree: VocabularyTree) -> None:
        self._signs = _signs()
        self._thresholds = project(tree.centers[-1])

    def encode(self, descriptors: NDArray[np.uint8], words: NDArray[np.int32]) -> NDArray[np.uint64]:
        """Compute signatures.

        Parameters
        ----------
        descriptors : ndarray of shape (N, 128), dtype uint8
        words : ndarray of shape (N,), dtype int32
            Their words.

        Returns
        -------
        ndarray of shape (N,), dtype uint64
            Bit i belongs to projection i.
        """
        signatures = np.empty(len(words), "<u8")
        for start in range(0, len(words), _ROWS):
            rows = slice(start, start + _ROWS)
            bits = project(descriptors[rows]) > self._thresholds[words[rows]]
            signatures[rows] = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0]
        return signatures.astype(np.uint64, copy=False)


def project(descriptors: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Project descriptors of 128 bytes to 64 integers: shape (N, 64), dtype int16."""
    projected = np.empty((len(descriptors), BITS), np.int16)
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        projected[rows] = descriptors[rows].astype(np.float32) @ _signs()
    return projected


@cache
def _signs() -> NDArray[np.float32]:
    hadamard = np.ones((1, 1), np.int8)
    while len(hadamard) < _LENGTH:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    columns = np.argsort(random_numbers(_LENGTH, "projections"), kind="stable")[:BITS]
    is_negative = random_numbers(_LENGTH, "signs") >> np.uint64(63)
    return (hadamard[:, columns] * (1.0 - 2.0 * is_negative)[:, None]).astype(np.float32)
