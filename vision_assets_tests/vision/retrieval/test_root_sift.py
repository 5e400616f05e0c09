import math
from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.retrieval.root_sift import root_sift


def naive(descriptor: list[int]) -> list[float]:
    """Not rounded; `Fraction` has no roots, so the last step is in float64."""
    total = sum(descriptor) or 1
    return [min(255.0, 512 * math.sqrt(Fraction(value, total))) for value in descriptor]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 6), st.just(128))))
def test_roots_of_shares(descriptors: NDArray[np.uint8]) -> None:
    roots = root_sift(descriptors)
    assert roots.dtype == np.uint8
    for row, descriptor in zip(roots.tolist(), descriptors.tolist(), strict=True):
        for value, exact in zip(row, naive(descriptor), strict=True):
            assert abs(value - exact) <= 0.5 + 1e-4


def test_many_rows_equal_each_alone(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (9000, 128), dtype=np.uint8)
    roots = root_sift(descriptors)
    for row in (0, 4095, 4096, 8999):
        np.testing.assert_array_equal(roots[row], root_sift(descriptors[row : row + 1])[0])


def test_their_distance_is_that_of_hellinger(rng: np.random.Generator) -> None:
    first, second = rng.integers(0, 64, (2, 500, 128), dtype=np.uint8)
    shares = [each / each.sum(axis=1, keepdims=True) for each in (first, second)]
    hellinger = np.sqrt(np.square(np.sqrt(shares[0]) - np.sqrt(shares[1])).sum(axis=1))
    difference = root_sift(first).astype(float) - root_sift(second)
    np.testing.assert_allclose(np.sqrt(np.square(difference).sum(axis=1)) / 512, hellinger, rtol=0.01)
