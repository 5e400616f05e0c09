"""The visual word of each descriptor, decided exactly and at the speed of a float32 matrix product."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vision_assets.vision.vocabulary.fixed_point import UINT8, Descriptors, center_scale

_ROWS = 1024  # per product, so that the scores of a tile fit into the processor's cache
_COLUMNS = 4096  # limits the tile for large vocabularies
_EXACT_SCORES = 2**21  # float64 scores in memory at once while ties are decided
_HALF_ULP = 2.0**-24  # of float32: the largest relative error of one operation


def round_centers(centers: NDArray[np.number], dtype: DTypeLike = UINT8) -> NDArray[np.float64]:
    """Round centres so that products with descriptors are exact.

    Parameters
    ----------
    centers : ndarray of shape (k, d), any number dtype
        Values in the range of the descriptors.
    dtype : dtype
        Type of the descriptors: uint8 or float32.

    Returns
    -------
    ndarray of shape (k, d), dtype float64
        Multiples of ``1 / center_scale(dtype)``.

    Examples
    --------
    >>> round_centers([[1 / 3, 127.5]]) * 2**16
    array([[  21845., 8355840.]])
    """
    scale = center_scale(dtype)
    return np.rint(np.asarray(centers, np.float64) * scale) / scale


@dataclass(frozen=True)
class Vocabulary:
    """The visual words: k centres of length d. ``len(vocabulary)`` is k.

    Parameters
    ----------
    centers : ndarray of shape (k, d), dtype float64
        Centres, as `round_centers` makes them.
    dtype : dtype
        Type of the descriptors: uint8 or float32.
    """

    centers: NDArray[np.float64]
    dtype: np.dtype = UINT8

    @property
    def length(self) -> int:
        """Number of values of a centre, and of a descriptor."""
        return self.centers.shape[1]

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def scale(self) -> int:
        """The factor that turns the centres into integers."""
        return center_scale(self.dtype)

    @cached_property
    def scaled(self) -> NDArray[np.int64]:
        """The centres multiplied by `scale`: shape (k, d), dtype int64."""
        return np.rint(self.centers * self.scale).astype(np.int64)

    @cached_property
    def scaled_square_norms(self) -> NDArray[np.int64]:
        """Exact ``‖c‖²`` multiplied by the square of `scale`: shape (k,), dtype int64."""
        return np.einsum("ij,ij->i", self.scaled, self.scaled)

    @cached_property
    def half_square_norms(self) -> NDArray[np.float64]:
        """Half of ``‖c‖²``: shape (k,), dtype float64."""
        return self.scaled_square_norms / (2.0 * self.scale**2)

    @cached_property
    def scoring32(self) -> NDArray[np.float32]:
        """Factor that turns descriptors with a 1 appended into scores: shape (d + 1, k), dtype float32."""
        return np.vstack([-self.centers.T, self.half_square_norms], dtype=np.float32, casting="same_kind")


def assign(descriptors: Descriptors, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Assign each descriptor to its visual word: the nearest centre by Euclidean distance.

    The result depends on the descriptor and the centres alone, not on the batch or the processor. A float32
    product decides where its error bound allows; a float64 product, which is exact for descriptors and
    rounded centres, decides the rest.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    vocabulary : Vocabulary
        k centres of length d.

    Returns
    -------
    ndarray of shape (N,), dtype int64
        Index of the nearest centre; the lowest index among equally near ones.

    Raises
    ------
    ValueError
        If the descriptors are not a matrix of the vocabulary's dtype with rows as long as the centres.

    Examples
    --------
    >>> import numpy as np
    >>> vocabulary = Vocabulary(round_centers([[0, 0], [100, 100]]))
    >>> assign(np.array([[1, 2], [90, 99], [50, 50]], np.uint8), vocabulary)
    array([0, 1, 0])

    Notes
    -----
    ``‖x - c‖² / 2 = ‖x‖² / 2 + (‖c‖² / 2 - x·c)``; the term in brackets is the score that is minimised. A
    float32 sum of d products, in any order, has an error of at most ``d · 2⁻²⁴ · |x|·|c|`` in first order
    (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.5). Here ``‖c‖² / 2``, rounded,
    is one more product, with 1.
    """
    length = vocabulary.centers.shape[1]
    if descriptors.dtype != vocabulary.dtype or descriptors.ndim != 2 or descriptors.shape[1] != length:
        raise ValueError(
            f"descriptors of shape {descriptors.shape} and dtype {descriptors.dtype} do not fit the "
            f"vocabulary: it needs dtype {vocabulary.dtype} and rows of {length} values"
        )
    words = np.empty(len(descriptors), np.int64)
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        words[rows] = _nearest_of_tile(descriptors[rows], vocabulary)
    return words


def _nearest_of_tile(descriptors: Descriptors, vocabulary: Vocabulary) -> NDArray[np.int64]:
    x = np.ones((len(descriptors), descriptors.shape[1] + 1), np.float32)
    x[:, :-1] = descriptors
    best, second, words = _two_lowest_scores(x, vocabulary)
    largest = vocabulary.half_square_norms.max()
    norms = np.sqrt(np.einsum("ij,ij->i", x, x))
    # 1.01 covers the second-order terms of the bound and the rounding of the norms.
    bound = 1.01 * _HALF_ULP * (x.shape[1] * (norms * np.sqrt(2 * largest) + largest) + largest)
    undecided = np.flatnonzero(second.astype(np.float64) - best <= 2 * bound)
    step = max(1, _EXACT_SCORES // len(vocabulary))
    for start in range(0, len(undecided), step):
        rows = undecided[start : start + step]
        scores = vocabulary.half_square_norms - descriptors[rows].astype(np.float64) @ vocabulary.centers.T
        words[rows] = scores.argmin(axis=1)
    return words


def _two_lowest_scores(
    x: NDArray[np.float32], vocabulary: Vocabulary
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return the lowest score, the second lowest and the index of the lowest for each row of x.

    A row of x is a descriptor with a 1 appended.
    """
    rows = np.arange(len(x))
    best = np.full(len(x), np.inf, np.float32)
    second = best.copy()
    words = np.zeros(len(x), np.int64)
    for start in range(0, len(vocabulary), _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        scores = x @ vocabulary.scoring32[:, columns]
        index = scores.argmin(axis=1)
        lowest = scores[rows, index]
        scores[rows, index] = np.inf
        second = np.minimum(np.maximum(best, lowest), np.minimum(second, scores.min(axis=1)))
        words = np.where(lowest < best, index + start, words)
        best = np.minimum(best, lowest)
    return best, second, words


def squared_distances(
    descriptors: Descriptors, vocabulary: Vocabulary, words: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the squared Euclidean distance of each descriptor to the centre of its word.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    vocabulary : Vocabulary
        k centres of length d.
    words : ndarray of shape (N,), dtype int64
        Index of the centre, for each descriptor.

    Returns
    -------
    ndarray of shape (N,), dtype float64
        For uint8 exact below 2²¹, hence for SIFT, whose descriptors have a norm of about 512: all terms are
        multiples of 2⁻³². For float32 exact: all terms are multiples of 2⁻⁴⁶.

    Examples
    --------
    >>> import numpy as np
    >>> vocabulary = Vocabulary(round_centers([[0, 0], [100, 100]]))
    >>> squared_distances(np.array([[3, 4], [99, 98]], np.uint8), vocabulary, np.array([0, 1]))
    array([25.,  5.])
    """
    distances = np.empty(len(descriptors), np.float64)
    for start in range(0, len(descriptors), _ROWS):
        rows = slice(start, start + _ROWS)
        difference = descriptors[rows] - vocabulary.centers[words[rows]]
        np.einsum("ij,ij->i", difference, difference, out=distances[rows])
    return distances
