"""Lloyd's k-means on descriptors; sums and inertia are exact in any order of the data."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vision_assets.vision.options import Options, option
from vision_assets.vision.vocabulary.assignment import (
    Vocabulary,
    assign,
    round_centers,
    squared_distances,
)
from vision_assets.vision.vocabulary.fixed_point import Descriptors, as_integers, fixed_point_scale
from vision_assets.vision.vocabulary.sampling import lowest_distinct

_LOW_BITS = 20  # a sum is split there, so that the product of either half with a centre fits into int64
_SUMMED_ROWS = 2**16  # sums of up to this many rows of `as_integers` are exact
_SEEDING_CANDIDATES_PER_WORD = 16

InitMode = Literal["random", "k-means++"]


@dataclass(frozen=True)
class KMeansOptions(Options):
    """How a vocabulary is trained; the names of the options are those of Spark's MLlib.

    Parameters
    ----------
    k : int
        Number of visual words.
    max_iter : int
        Maximum number of updates of the centres.
    tol : float
        Stop when no centre moves by more than this distance, in units of the descriptors.
    init_mode : {"random", "k-means++"}
        How `initial_centers` chooses the initial centres.
    seed : int
        Random seed of the sample and of the initial centres.
    descriptors_per_word : int, optional
        Size of the training sample, per word. None trains on all descriptors.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    k: int = option(1000, "Number of visual words.", ge=1, le=1_000_000)
    max_iter: int = option(10, "Maximum number of updates of the centres.", ge=0, le=10_000)
    tol: float = option(1e-4, "Stop when no centre moves by more than this distance.", ge=0)
    init_mode: InitMode = option(
        "random",
        "Initial centres: `random` chooses distinct descriptors at random; `k-means++` spreads them out, in "
        "a time that grows with the square of k: one second for 1,000 words, 40 minutes for 50,000.",
    )
    seed: int = option(0, "Random seed of the sample and of the initial centres.", ge=0, le=2**63 - 1)
    descriptors_per_word: int | None = option(
        256, "Train on a sample of this many descriptors per word; null trains on all descriptors.", ge=1
    )


@dataclass
class WordStatistics:
    """Sums over the descriptors of each word, as integers: all that a pass of Lloyd's algorithm needs.

    Descriptors count as integers here, see `vision_assets.vision.vocabulary.fixed_point.as_integers`.

    Parameters
    ----------
    counts : ndarray of shape (k,), dtype int64
        Number of descriptors.
    sums : ndarray of shape (k, d), dtype int64
        Sum of the descriptors.
    square_sums : ndarray of shape (k,), dtype int64
        Sum of the descriptors' squared norms.
    """

    counts: NDArray[np.int64]
    sums: NDArray[np.int64]
    square_sums: NDArray[np.int64]

    @classmethod
    def empty(cls, k: int, length: int) -> "WordStatistics":
        """Return the statistics of no descriptors, for k words of a length."""
        return cls(np.zeros(k, np.int64), np.zeros((k, length), np.int64), np.zeros(k, np.int64))

    def add(self, descriptors: Descriptors, words: NDArray[np.int64]) -> None:
        """Add descriptors to the statistics of their words, in place.

        Parameters
        ----------
        descriptors : ndarray of shape (N, d), dtype uint8 or float32
        words : ndarray of shape (N,), dtype int64
            The word of each descriptor.
        """
        for start in range(0, len(words), _SUMMED_ROWS):
            rows = slice(start, start + _SUMMED_ROWS)
            self._add_tile(as_integers(descriptors[rows]), words[rows])

    def _add_tile(self, x: NDArray[np.floating], words: NDArray[np.int64]) -> None:
        present, position = np.unique(words, return_inverse=True)
        membership = csr_array(
            (np.ones(len(x), x.dtype), (position, np.arange(len(x)))), shape=(len(present), len(x))
        )
        squares = np.einsum("ij,ij->i", x, x)
        self.counts[present] += np.bincount(position)
        self.sums[present] += (membership @ x).astype(np.int64)
        self.square_sums[present] += np.bincount(position, weights=squares).astype(np.int64)

    def merge(self, other: "WordStatistics") -> "WordStatistics":
        """Add the statistics of other descriptors, in place, and return self."""
        self.counts += other.counts
        self.sums += other.sums
        self.square_sums += other.square_sums
        return self


def word_inertia(vocabulary: Vocabulary, statistics: WordStatistics) -> NDArray[np.float64]:
    """Compute the inertia of each word: the sum of squared distances of its descriptors to its centre.

    It is ``Σ‖x‖² - 2 c·Σx + n‖c‖²``, computed with integers and rounded once.

    Parameters
    ----------
    vocabulary : Vocabulary
        k centres of length d.
    statistics : WordStatistics
        The statistics of the words.

    Returns
    -------
    ndarray of shape (k,), dtype float64
    """
    high = statistics.sums >> _LOW_BITS
    low = statistics.sums - (high << _LOW_BITS)
    dots_high = np.einsum("ij,ij->i", vocabulary.scaled, high).tolist()
    dots_low = np.einsum("ij,ij->i", vocabulary.scaled, low).tolist()
    square = vocabulary.scale**2
    ratio = vocabulary.scale // fixed_point_scale(vocabulary.dtype)
    return np.array(
        [
            (squares * ratio**2 - 2 * ratio * ((dot_high << _LOW_BITS) + dot_low) + count * norm) / square
            for squares, dot_high, dot_low, count, norm in zip(
                statistics.square_sums.tolist(),
                dots_high,
                dots_low,
                statistics.counts.tolist(),
                vocabulary.scaled_square_norms.tolist(),
                strict=True,
            )
        ],
        np.float64,
    )


def update_centers(vocabulary: Vocabulary, statistics: WordStatistics) -> NDArray[np.float64]:
    """Move each centre to the mean of its descriptors; the centre of an empty word stays.

    Parameters
    ----------
    vocabulary : Vocabulary
        k centres of length d.
    statistics : WordStatistics
        The statistics of the words.

    Returns
    -------
    ndarray of shape (k, d), dtype float64
        The new centres, as `vision_assets.vision.vocabulary.assignment.round_centers` makes them.
    """
    occupied = statistics.counts > 0
    values = vocabulary.centers.copy()
    means = (
        statistics.sums[occupied] / statistics.counts[occupied, None] / fixed_point_scale(vocabulary.dtype)
    )
    values[occupied] = round_centers(means, vocabulary.dtype)
    return values


class DescriptorSet(Protocol):
    """The training descriptors, wherever they are stored, as Lloyd's algorithm sees them."""

    def statistics(self, vocabulary: Vocabulary) -> WordStatistics:
        """Assign every descriptor to its nearest centre and return the words' statistics."""

    def farthest(self, vocabulary: Vocabulary, count: int) -> Descriptors:
        """Return the distinct descriptors farthest from their nearest centre: shape (count, d)."""


@dataclass(frozen=True)
class DescriptorMatrix:
    """Training descriptors in memory: a `DescriptorSet`.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    seed : int
        Random seed, which breaks ties.
    """

    descriptors: Descriptors
    seed: int = 0

    def statistics(self, vocabulary: Vocabulary) -> WordStatistics:
        """Assign every descriptor to its nearest centre and return the words' statistics."""
        return assign_statistics(self.descriptors, vocabulary)

    def farthest(self, vocabulary: Vocabulary, count: int) -> Descriptors:
        """Return the distinct descriptors farthest from their nearest centre."""
        return farthest_descriptors(self.descriptors, vocabulary, count, self.seed)[0]


@dataclass(frozen=True)
class KMeansState:
    """State after one pass over the descriptors.

    Parameters
    ----------
    index : int
        Number of updates of the centres so far.
    vocabulary : Vocabulary
        The centres of this pass.
    statistics : WordStatistics
        Statistics of the words with these centres.
    inertia : ndarray of shape (k,), dtype float64
        Sum of squared distances, for each word.
    moved : float
        Largest distance that a centre moved in the last update; infinite at first.
    """

    index: int
    vocabulary: Vocabulary
    statistics: WordStatistics
    inertia: NDArray[np.float64]
    moved: float


def lloyd(
    descriptors: DescriptorSet,
    initial: Vocabulary | KMeansState,
    *,
    max_iter: int,
    tol: float,
    report: Callable[[KMeansState], None] = lambda _: None,
) -> KMeansState:
    """Run Lloyd's algorithm until no centre moves by more than `tol`, or for `max_iter` updates.

    The total inertia never rises. No word is left empty: the centre of an empty word moves to the descriptor
    that is farthest from its own centre.

    Parameters
    ----------
    descriptors : DescriptorSet
        At least k distinct descriptors.
    initial : Vocabulary or KMeansState
        The initial centres, or a state to continue from.
    max_iter : int
        Maximum number of updates.
    tol : float
        Distance in units of the descriptors.
    report : callable
        Called with the state after every pass.

    Returns
    -------
    KMeansState
        The last state; its statistics and inertia belong to its centres.
    """
    if isinstance(initial, KMeansState):
        state = initial
    else:
        state = _pass(descriptors, initial, index=0, moved=np.inf)
        report(state)
    while (state.index < max_iter and state.moved > tol) or not state.statistics.counts.all():
        values = (
            update_centers(state.vocabulary, state.statistics)
            if state.index < max_iter and state.moved > tol
            else state.vocabulary.centers.copy()
        )
        empty = np.flatnonzero(state.statistics.counts == 0)
        if len(empty):
            values[empty] = descriptors.farthest(state.vocabulary, len(empty))
        moved = float(np.sqrt(np.square(values - state.vocabulary.centers).sum(axis=1)).max())
        vocabulary = Vocabulary(values, state.vocabulary.dtype)
        state = _pass(descriptors, vocabulary, index=state.index + 1, moved=moved)
        report(state)
    return state


def _pass(descriptors: DescriptorSet, vocabulary: Vocabulary, *, index: int, moved: float) -> KMeansState:
    statistics = descriptors.statistics(vocabulary)
    return KMeansState(index, vocabulary, statistics, word_inertia(vocabulary, statistics), moved)


def state_to_npz(state: KMeansState) -> bytes:
    """Serialise a state, to continue from it later.

    Parameters
    ----------
    state : KMeansState

    Returns
    -------
    bytes
        Content of an ``.npz`` file.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        index=state.index,
        centers=state.vocabulary.centers,
        dtype=state.vocabulary.dtype.str,
        counts=state.statistics.counts,
        sums=state.statistics.sums,
        squareSums=state.statistics.square_sums,
        moved=state.moved,
    )
    return buffer.getvalue()


def state_from_npz(data: bytes) -> KMeansState:
    """Read a state that `state_to_npz` has written.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    KMeansState
        Equal to the written one, to the bit.

    Raises
    ------
    ValueError
        If the content is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            vocabulary = Vocabulary(file["centers"], np.dtype(str(file["dtype"])))
            statistics = WordStatistics(file["counts"], file["sums"], file["squareSums"])
            index, moved = int(file["index"]), float(file["moved"])
    except (OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a stored state of k-means: {error}") from error
    return KMeansState(index, vocabulary, statistics, word_inertia(vocabulary, statistics), moved)


def assign_statistics(descriptors: Descriptors, vocabulary: Vocabulary) -> WordStatistics:
    """Assign descriptors to their words and return the statistics of the words.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    vocabulary : Vocabulary
        k centres of length d.

    Returns
    -------
    WordStatistics
    """
    statistics = WordStatistics.empty(*vocabulary.centers.shape)
    statistics.add(descriptors, assign(descriptors, vocabulary))
    return statistics


def farthest_descriptors(
    descriptors: Descriptors, vocabulary: Vocabulary, count: int, seed: int
) -> tuple[Descriptors, NDArray[np.float64]]:
    """Find the distinct descriptors farthest from their nearest centre.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    vocabulary : Vocabulary
        k centres of length d.
    count : int
        How many to find.
    seed : int
        Random seed, which breaks ties.

    Returns
    -------
    descriptors : ndarray of shape (min(count, distinct), d)
        The farthest one first.
    keys : ndarray of shape (min(count, distinct),), dtype float64
        Negative squared distances; `lowest_distinct` merges the results of several parts by them.
    """
    distances = squared_distances(descriptors, vocabulary, assign(descriptors, vocabulary))
    return lowest_distinct(descriptors, -distances, seed, count)


def seeding_candidates(k: int, init_mode: str) -> int:
    """Return how many distinct descriptors `initial_centers` should choose k centres from.

    Parameters
    ----------
    k : int
        Number of words.
    init_mode : {"random", "k-means++"}

    Returns
    -------
    int

    Examples
    --------
    >>> seeding_candidates(1000, "random"), seeding_candidates(1000, "k-means++")
    (1000, 16000)
    """
    return k if init_mode == "random" else k * _SEEDING_CANDIDATES_PER_WORD


def initial_centers(candidates: Descriptors, k: int, init_mode: str, seed: int) -> Descriptors:
    """Choose the initial centres.

    Parameters
    ----------
    candidates : ndarray of shape (M, d), dtype uint8 or float32
        Distinct descriptors in random order, at least k; see `seeding_candidates`.
    k : int
        Number of centres.
    init_mode : {"random", "k-means++"}
        `random` takes the first k candidates; `k-means++` samples among the candidates by squared distance
        (Arthur, Vassilvitskii: k-means++: The Advantages of Careful Seeding, 2007).
    seed : int
        Random seed of the sampling.

    Returns
    -------
    ndarray of shape (k, d), dtype uint8 or float32
        Distinct descriptors.
    """
    if init_mode == "random":
        return candidates[:k]
    generator = np.random.Generator(np.random.PCG64(seed))
    # Dot products are integers below 2²⁴ in float32 and 2⁵³ in float64, so they are exact in any order.
    x = as_integers(candidates)
    norms = np.einsum("ij,ij->i", x, x).astype(np.int64)
    chosen = [0]
    nearest = np.full(len(x), np.iinfo(np.int64).max)
    for _ in range(k - 1):
        last = chosen[-1]
        nearest = np.minimum(nearest, norms + norms[last] - 2 * (x @ x[last]).astype(np.int64))
        total = np.cumsum(nearest)
        chosen.append(int(np.searchsorted(total, generator.integers(total[-1]), side="right")))
    return candidates[chosen]
