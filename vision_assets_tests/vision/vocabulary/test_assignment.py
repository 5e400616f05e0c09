from collections.abc import Callable

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from vision_assets.vision.vocabulary.assignment import (
    Vocabulary,
    assign,
    round_centers,
    squared_distances,
)
from vision_assets.vision.vocabulary.fixed_point import Descriptors, center_scale, quantize


def matrices(rows: st.SearchStrategy[int], length: int = 8) -> st.SearchStrategy[NDArray[np.uint8]]:
    """Few distinct values, so that ties and duplicates are common."""
    values = st.one_of(st.sampled_from([0, 1, 255]), st.integers(0, 255))
    return rows.flatmap(lambda n: hnp.arrays(np.uint8, (n, length), elements=values))


@given(matrices(st.integers(0, 20)), matrices(st.integers(1, 12)))
def test_nearest_is_that_of_exact_distances_with_the_lowest_index_on_ties(
    descriptors: NDArray[np.uint8], centers: NDArray[np.uint8]
) -> None:
    difference = descriptors[:, None].astype(np.int64) - centers[None].astype(np.int64)
    expected = np.square(difference).sum(axis=2).argmin(axis=1)
    words = assign(descriptors, Vocabulary(round_centers(centers)))
    np.testing.assert_array_equal(words, expected)


def some_bytes(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (count, 128), dtype=np.uint8)


def some_fractions(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    values = rng.normal(size=(count, 128))
    return quantize(values / np.linalg.norm(values, axis=1, keepdims=True))


@pytest.mark.parametrize("some", [some_bytes, some_fractions])
def test_near_ties_are_decided_exactly(
    rng: np.random.Generator, some: Callable[[np.random.Generator, int], Descriptors]
) -> None:
    """Centres that differ by the smallest step, far below the float32 error of the product."""
    descriptors = some(rng, 500)
    dtype, scale = descriptors.dtype, center_scale(descriptors.dtype)
    steps = rng.integers(-1, 2, (40, 128)) / scale
    centers = Vocabulary(some(rng, 1).astype(np.float64) / 2 + steps, dtype)
    centers = Vocabulary(round_centers(centers.centers, dtype), dtype)
    whole = (descriptors.astype(np.float64) * scale).astype(np.int64)
    scaled = whole[:, None].astype(object) - centers.scaled[None].astype(object)
    exact = (scaled[:60] ** 2).sum(axis=2)
    expected = np.array([row.tolist().index(min(row)) for row in exact])
    np.testing.assert_array_equal(assign(descriptors[:60], centers), expected)
    x32 = descriptors.astype(np.float32)
    scores32 = np.column_stack([x32, np.ones(len(x32), np.float32)]) @ centers.scoring32
    assert (scores32.argmin(axis=1)[:60] != expected).any(), "the float32 product alone would have been right"


@pytest.mark.parametrize("batch", [1, 7, 4096])
def test_the_answer_does_not_depend_on_the_batch(rng: np.random.Generator, batch: int) -> None:
    descriptors = rng.integers(0, 256, (5000, 128), dtype=np.uint8)
    centers = Vocabulary(round_centers(descriptors[:90].astype(float) + rng.random((90, 128)) / 300))
    whole = assign(descriptors, centers)
    parts = [assign(descriptors[i : i + batch], centers) for i in range(0, 5000, batch)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_more_centers_than_a_tile_holds(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (300, 16), dtype=np.uint8)
    centers = rng.integers(0, 256, (9000, 16), dtype=np.uint8)
    expected = cdist(descriptors.astype(float), centers.astype(float), "sqeuclidean").argmin(axis=1)
    np.testing.assert_array_equal(assign(descriptors, Vocabulary(round_centers(centers))), expected)


def test_squared_distances_of_fractions_are_exact(rng: np.random.Generator) -> None:
    descriptors = some_fractions(rng, 200)
    centers = Vocabulary(round_centers(rng.normal(size=(5, 128)) / 12, np.float32), np.dtype(np.float32))
    words = assign(descriptors, centers)
    differences = (descriptors.astype(np.float64) * centers.scale).astype(np.int64) - centers.scaled[words]
    exact = [sum(int(value) ** 2 for value in row) / centers.scale**2 for row in differences]
    assert squared_distances(descriptors, centers, words).tolist() == exact


def test_squared_distances_equal_scipys(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (3000, 128), dtype=np.uint8)
    centers = Vocabulary(round_centers(rng.random((30, 128)) * 255))
    words = assign(descriptors, centers)
    expected = cdist(descriptors.astype(float), centers.centers, "sqeuclidean")[np.arange(3000), words]
    np.testing.assert_allclose(squared_distances(descriptors, centers, words), expected, rtol=1e-12)


def test_the_distance_of_a_descriptor_to_itself_is_zero(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (50, 128), dtype=np.uint8)
    assert not squared_distances(descriptors, Vocabulary(round_centers(descriptors)), np.arange(50)).any()


def test_rounded_centers_fit_float32_without_loss(rng: np.random.Generator) -> None:
    rounded = round_centers(rng.random((100, 128)) * 255)
    np.testing.assert_array_equal(rounded.astype(np.float32).astype(np.float64), rounded)


@pytest.mark.parametrize(
    "descriptors",
    [np.zeros((2, 64), np.uint8), np.zeros((2, 128), np.float32), np.zeros(128, np.uint8)],
    ids=["other length", "other dtype", "one dimension"],
)
def test_descriptors_that_do_not_fit_are_refused(descriptors: NDArray) -> None:
    with pytest.raises(
        ValueError, match="do not fit the vocabulary: it needs dtype uint8 and rows of 128 values"
    ):
        assign(descriptors, Vocabulary(np.zeros((3, 128))))
