import math
import tracemalloc
from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray
from scipy.spatial.distance import cdist

from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.fixed_point import Descriptors, quantize
from vision_assets.vision.vocabulary.kmeans import (
    DescriptorMatrix,
    KMeansState,
    WordStatistics,
    assign_statistics,
    initial_centers,
    lloyd,
    seeding_candidates,
    state_from_npz,
    state_to_npz,
    word_inertia,
)
from vision_assets.vision.vocabulary.sampling import descriptor_hashes, lowest_distinct


def naive_lloyd(x: Descriptors, centers: NDArray[np.float64], iterations: int) -> list[NDArray[np.float64]]:
    states = []
    for _ in range(iterations):
        words = cdist(x.astype(float), centers, "sqeuclidean").argmin(axis=1)
        centers = np.stack(
            [x[words == j].mean(axis=0) if (words == j).any() else centers[j] for j in range(len(centers))]
        )
        states.append(centers)
    return states


def centers_from(values: NDArray, dtype: DTypeLike = np.uint8) -> Vocabulary:
    return Vocabulary(round_centers(values, dtype), np.dtype(dtype))


def run(x: Descriptors, initial: NDArray, dtype: DTypeLike = np.uint8, **options: float) -> list[KMeansState]:
    states: list[KMeansState] = []
    settings = {"max_iter": 10, "tol": 0.0} | options
    lloyd(DescriptorMatrix(x), centers_from(initial, dtype), report=states.append, **settings)  # type: ignore[arg-type]
    return states


@pytest.fixture(scope="module")
def blobs() -> NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    centers = rng.integers(30, 220, (40, 32))
    return np.clip(centers[rng.integers(0, 40, 4000)] + rng.normal(0, 15, (4000, 32)), 0, 255).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def cloud() -> NDArray[np.uint8]:
    """Without clusters: no word becomes empty, and the iterations go on for long."""
    return np.random.default_rng(6).integers(0, 256, (3000, 32), dtype=np.uint8)


def test_each_iteration_is_that_of_a_plain_float64_lloyd(cloud: NDArray[np.uint8]) -> None:
    states = run(cloud, cloud[:50])
    for state, expected in zip(states[1:], naive_lloyd(cloud, cloud[:50].astype(float), 10), strict=True):
        np.testing.assert_allclose(state.vocabulary.centers, expected, atol=2**-10)


def test_inertia_is_the_sum_of_squared_distances(blobs: NDArray[np.uint8]) -> None:
    for state in run(blobs, blobs[:20]):
        distances = cdist(blobs.astype(float), state.vocabulary.centers, "sqeuclidean")
        words = distances.argmin(axis=1)
        expected = np.bincount(words, weights=distances.min(axis=1), minlength=20)
        np.testing.assert_allclose(state.inertia, expected, rtol=1e-10)
        np.testing.assert_array_equal(state.statistics.counts, np.bincount(words, minlength=20))


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(4, 40), st.just(3)), elements=st.sampled_from([0, 1, 2, 250])),
    st.integers(0, 5),
)
def test_inertia_never_rises_and_no_word_is_left_empty(x: NDArray[np.uint8], seed: int) -> None:
    distinct, _ = lowest_distinct(x, descriptor_hashes(x, seed), seed, 4)
    # All centres but one in a far corner: most words are empty at first.
    initial = np.full(distinct.shape, 255, np.uint8)
    initial[0] = distinct[0]
    states = run(x, initial)
    totals = [math.fsum(state.inertia) for state in states]
    assert totals == sorted(totals, reverse=True)
    assert states[-1].statistics.counts.all()


def test_it_stops_when_nothing_moves(blobs: NDArray[np.uint8]) -> None:
    states = run(blobs, blobs[:3], max_iter=200, tol=0.0)
    assert len(states) < 200
    assert states[-1].moved == 0


def test_a_tolerance_stops_earlier(cloud: NDArray[np.uint8]) -> None:
    states = run(cloud, cloud[:30], max_iter=50, tol=5.0)
    assert len(states) < 51
    assert states[-1].moved <= 5.0 < states[-2].moved


def test_no_iteration_leaves_the_initial_centers(blobs: NDArray[np.uint8]) -> None:
    (state,) = run(blobs, blobs[:30], max_iter=0)
    np.testing.assert_array_equal(state.vocabulary.centers, blobs[:30])


@pytest.fixture(scope="module")
def fractions() -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    values = rng.normal(size=(30, 64))[rng.integers(0, 30, 3000)] + rng.normal(size=(3000, 64)) / 3
    return quantize(values / np.linalg.norm(values, axis=1, keepdims=True))


def test_fractions_have_the_words_of_a_plain_float64_lloyd(fractions: NDArray[np.float32]) -> None:
    states = run(fractions, fractions[:20], dtype=np.float32)
    expected = naive_lloyd(fractions, fractions[:20].astype(float), 10)
    for state, centers in zip(states[1:], expected, strict=False):
        np.testing.assert_allclose(state.vocabulary.centers, centers, atol=1e-6)
        distances = cdist(fractions.astype(float), state.vocabulary.centers, "sqeuclidean").min(axis=1)
        assert math.fsum(state.inertia) == pytest.approx(distances.sum(), rel=1e-9)


@pytest.mark.parametrize("init_mode", ["random", "k-means++"])
def test_fractions_give_the_same_bits_in_any_order_and_parts(
    fractions: NDArray[np.float32], init_mode: str
) -> None:
    def train(x: NDArray[np.float32]) -> KMeansState:
        wanted = seeding_candidates(25, init_mode)
        candidates, _ = lowest_distinct(x, descriptor_hashes(x, 3), 3, wanted)
        chosen = initial_centers(candidates, 25, init_mode, 3)
        return run(x, chosen, dtype=np.float32)[-1]

    whole = train(fractions)
    shuffled = train(fractions[np.random.default_rng(8).permutation(len(fractions))])
    np.testing.assert_array_equal(whole.vocabulary.centers, shuffled.vocabulary.centers)
    np.testing.assert_array_equal(whole.inertia, shuffled.inertia)
    parts = WordStatistics.empty(25, 64)
    for start in range(0, len(fractions), 700):
        parts.merge(assign_statistics(fractions[start : start + 700], whole.vocabulary))
    np.testing.assert_array_equal(parts.sums, whole.statistics.sums)
    np.testing.assert_array_equal(parts.square_sums, whole.statistics.square_sums)


def test_an_iteration_on_fractions_is_kept_to_the_bit(fractions: NDArray[np.float32]) -> None:
    state = run(fractions, fractions[:9], max_iter=2, dtype=np.float32)[-1]
    kept = state_from_npz(state_to_npz(state))
    assert kept.vocabulary.dtype == np.float32
    np.testing.assert_array_equal(kept.vocabulary.centers, state.vocabulary.centers)
    np.testing.assert_array_equal(kept.inertia, state.inertia)


def test_statistics_of_parts_add_up(blobs: NDArray[np.uint8]) -> None:
    centers = Vocabulary(round_centers(blobs[:17]))
    whole = assign_statistics(blobs, centers)
    parts = WordStatistics.empty(17, 32)
    for start in range(0, len(blobs), 700):
        parts.merge(assign_statistics(blobs[start : start + 700], centers))
    for name in ("counts", "sums", "square_sums"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    np.testing.assert_array_equal(word_inertia(centers, parts), word_inertia(centers, whole))


def test_more_rows_than_float32_can_sum_are_still_summed_exactly() -> None:
    descriptors = np.full((200_001, 2), 255, np.uint8)
    statistics = assign_statistics(descriptors, Vocabulary(np.array([[255.0, 255.0]])))
    assert statistics.sums.tolist() == [[255 * 200_001] * 2]
    assert statistics.square_sums.tolist() == [2 * 255**2 * 200_001]


def test_inertia_of_billions_of_descriptors_is_rounded_once() -> None:
    centers = Vocabulary(round_centers(np.array([[200.123, 3.7], [0.0, 255.0]])))
    statistics = WordStatistics(
        np.array([10**11, 1]),
        np.array([[200 * 10**11 + 7, 4 * 10**11], [0, 255]]),
        np.array([4 * 10**15 + 1, 65025]),
    )
    exact = [
        Fraction(int(squares))
        - 2 * sum(Fraction(float(c)) * int(s) for c, s in zip(center, sums, strict=True))
        + int(count) * sum(Fraction(float(c)) ** 2 for c in center)
        for center, sums, squares, count in zip(
            centers.centers, statistics.sums, statistics.square_sums, statistics.counts, strict=True
        )
    ]
    assert word_inertia(centers, statistics).tolist() == [float(value) for value in exact]


@pytest.mark.parametrize("init_mode", ["random", "k-means++"])
def test_initial_centers_are_distinct_and_repeatable(blobs: NDArray[np.uint8], init_mode: str) -> None:
    candidates, _ = lowest_distinct(blobs, descriptor_hashes(blobs, 1), 1, seeding_candidates(25, init_mode))
    first = initial_centers(candidates, 25, init_mode, 1)
    assert len(np.unique(first, axis=0)) == 25
    np.testing.assert_array_equal(first, initial_centers(candidates, 25, init_mode, 1))


def test_kmeans_plus_plus_starts_better_than_random(blobs: NDArray[np.uint8]) -> None:
    candidates, _ = lowest_distinct(
        blobs, descriptor_hashes(blobs, 1), 1, seeding_candidates(40, "k-means++")
    )
    totals = {
        mode: math.fsum(run(blobs, initial_centers(candidates, 40, mode, 1), max_iter=0)[0].inertia)
        for mode in ("random", "k-means++")
    }
    assert totals["k-means++"] < totals["random"]


def test_many_words_need_no_memory_of_their_square() -> None:
    """The peak is less than half a byte per pair of a descriptor and a word, so no array of pairs exists."""
    k = 10_000
    x = np.random.default_rng(1).integers(0, 256, (k + 500, 4), dtype=np.uint8)
    candidates, _ = lowest_distinct(x, descriptor_hashes(x, 0), 0, k)
    tracemalloc.start()
    state = lloyd(DescriptorMatrix(x), centers_from(candidates), max_iter=1, tol=0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.statistics.counts.sum() == len(x)
    assert peak < k**2 / 2
