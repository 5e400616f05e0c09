import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT_ONE, as_integers, center_scale, quantize


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-2, 2)))
def test_fractions_are_near_and_integers_in_their_unit(values: NDArray[np.float64]) -> None:
    fractions = quantize(values)
    assert fractions.dtype == np.float32
    np.testing.assert_array_equal(
        fractions * FIXED_POINT_ONE, np.rint(fractions.astype(np.float64) * FIXED_POINT_ONE)
    )
    assert (np.abs(fractions - np.clip(values, -1, 1)) <= 0.5 / FIXED_POINT_ONE).all()


def test_what_is_no_number_is_zero() -> None:
    assert quantize(np.array([np.nan, np.inf, 3.0])).tolist() == [0.0, 1.0, 1.0]


def test_equal_fractions_have_equal_bytes() -> None:
    assert quantize(np.array([-1e-9])).tobytes() == quantize(np.array([0.0])).tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_centers_fit_float32_without_loss(rng: np.random.Generator, dtype: type) -> None:
    largest = 255 if dtype is np.uint8 else 1
    rounded = np.rint(rng.random(1000) * largest * center_scale(dtype)) / center_scale(dtype)
    np.testing.assert_array_equal(rounded.astype(np.float32).astype(np.float64), rounded)


@pytest.mark.parametrize(
    "descriptors",
    [
        np.full((2**16, 128), 255, np.uint8),
        np.full((2**16, 300), 255, np.uint8),
        np.full((2**16, 64), -1, np.float32),
    ],
    ids=["bytes", "long bytes", "fractions"],
)
def test_sums_and_squares_of_integers_are_exact(descriptors: NDArray) -> None:
    x = as_integers(descriptors)
    value = int(x[0, 0])
    assert set(x.sum(axis=0).tolist()) == {value * 2**16}
    squares = np.einsum("ij,ij->i", x, x)
    assert set(squares.tolist()) == {value**2 * x.shape[1]}
    zeros = np.zeros(len(x), np.int64)
    assert np.bincount(zeros, weights=squares).tolist() == [value**2 * x.size]
