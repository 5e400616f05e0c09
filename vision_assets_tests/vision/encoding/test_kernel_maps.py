import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.kernel_approximation import AdditiveChi2Sampler
from sklearn.metrics.pairwise import additive_chi2_kernel

from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.base import FeatureBatch
from vision_assets.vision.encoding.kernel_maps import FeatureMap, apply_feature_map, mapped_length
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign

MAPS: tuple[FeatureMap, ...] = ("none", "l2", "hellinger", "chi2")


def histograms(rng: np.random.Generator, count: int = 30, length: int = 50) -> NDArray[np.float32]:
    """Encodings of which about half of the values are zero."""
    values = rng.random((count, length)) * 100 * rng.integers(0, 2, (count, length))
    return values.astype(np.float32)


def shares(bow: NDArray[np.float32]) -> NDArray[np.float64]:
    return bow.astype(np.float64) / bow.astype(np.float64).sum(axis=1, keepdims=True)


def naive(row: NDArray[np.float32], feature_map: FeatureMap) -> list[float]:
    """One value after the other, by the formulas of the documentation."""
    values = [float(value) for value in row]
    if feature_map == "none":
        return values
    if feature_map == "l2":
        return [value / sum(v * v for v in values) ** 0.5 for value in values]
    parts = [value / sum(values) for value in values]
    if feature_map == "hellinger":
        return [part**0.5 for part in parts]
    # Vedaldi and Zisserman, eq. 11: L = 1/2, n = 1, kappa(lambda) = sech(pi lambda).
    period, spectrum = 0.5, 1 / np.cosh(np.pi * 0.5)
    first = [(part * period) ** 0.5 for part in parts]
    waves = [
        (2 * part * period * spectrum) ** 0.5 * wave(period * np.log(part)) if part else 0.0
        for wave in (np.cos, np.sin)
        for part in parts
    ]
    return first + waves


@pytest.mark.parametrize("feature_map", MAPS)
def test_a_map_is_its_formula(rng: np.random.Generator, feature_map: FeatureMap) -> None:
    bow = histograms(rng)
    mapped = apply_feature_map(bow, feature_map)
    assert mapped.dtype == np.float64
    assert mapped.shape == (len(bow), mapped_length(bow.shape[1], feature_map))
    np.testing.assert_allclose(
        mapped, [naive(row, feature_map) for row in bow], rtol=1e-12, atol=1e-15, strict=True
    )


def test_none_changes_no_bit(rng: np.random.Generator) -> None:
    bow = histograms(rng)
    np.testing.assert_array_equal(apply_feature_map(bow, "none"), bow.astype(np.float64), strict=True)


def test_chi2_has_the_values_of_scikit_learn(rng: np.random.Generator) -> None:
    bow = histograms(rng)
    expected = AdditiveChi2Sampler(sample_steps=2).fit_transform(shares(bow))
    np.testing.assert_allclose(apply_feature_map(bow, "chi2"), expected, rtol=1e-10, atol=1e-14)


def test_inner_products_of_chi2_are_near_the_kernel(rng: np.random.Generator) -> None:
    bow = histograms(rng)
    parts = shares(bow)
    kernel = np.array([[2 * (x * y)[x > 0] @ (1 / (x + y)[x > 0]) for y in parts] for x in parts])
    mapped = apply_feature_map(bow, "chi2")
    # With three values per bin it is too small by a tenth, and that nearly everywhere.
    share = (mapped @ mapped.T) / kernel
    assert 0.88 < share.min() < share.max() < 1.02
    assert share.std() < 0.02
    # Scikit-learn's kernel is the negative distance -(x - y)^2 / (x + y); x and y add up to 1 each.
    np.testing.assert_allclose(kernel, 1 + additive_chi2_kernel(parts) / 2, atol=1e-12)


def test_inner_products_of_hellinger_are_the_kernel(rng: np.random.Generator) -> None:
    bow = histograms(rng)
    parts = shares(bow)
    mapped = apply_feature_map(bow, "hellinger")
    kernel = np.sqrt(parts[:, None] * parts[None]).sum(axis=2)
    np.testing.assert_allclose(mapped @ mapped.T, kernel, rtol=1e-12)


@pytest.mark.parametrize("feature_map", MAPS)
def test_zero_vectors_stay_zero(rng: np.random.Generator, feature_map: FeatureMap) -> None:
    bow = histograms(rng, 3)
    bow[1] = 0
    mapped = apply_feature_map(bow, feature_map)
    assert not mapped[1].any()
    assert mapped[0].any()
    assert np.isfinite(mapped).all()


@pytest.mark.parametrize("feature_map", ["l2", "hellinger", "chi2"])
def test_the_scale_of_an_encoding_has_no_meaning(rng: np.random.Generator, feature_map: FeatureMap) -> None:
    bow = histograms(rng)
    np.testing.assert_array_equal(
        apply_feature_map(bow * np.float32(2**20), feature_map), apply_feature_map(bow, feature_map)
    )


def test_hellinger_of_counts_is_what_the_encoding_of_that_name_holds(rng: np.random.Generator) -> None:
    batch = FeatureBatch(rng.integers(0, 256, (90, 16), dtype=np.uint8), np.array([40, 50]))
    vocabulary = Vocabulary(np.round(rng.random((7, 16)) * 255))
    words = assign(batch.descriptors, vocabulary)
    plain = BagOfWords("count").encode(batch, words, vocabulary)
    hellinger = BagOfWords("count", "hellinger").encode(batch, words, vocabulary)
    np.testing.assert_array_equal(apply_feature_map(plain, "hellinger").astype(np.float32), hellinger)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 7, 20, 133])),
        elements=st.floats(0, 2.0**60, width=32),
        fill=st.sampled_from([0.0, 1.0]),
    ),
    st.sampled_from(MAPS),
    st.data(),
)
def test_a_row_depends_on_its_encoding_alone_to_the_bit(
    bow: NDArray[np.float32], feature_map: FeatureMap, data: st.DataObject
) -> None:
    alone = np.vstack([apply_feature_map(row[None], feature_map) for row in bow])
    order = data.draw(st.lists(st.integers(0, len(bow) - 1), min_size=1, max_size=20))
    np.testing.assert_array_equal(apply_feature_map(bow, feature_map), alone)
    np.testing.assert_array_equal(apply_feature_map(bow[order], feature_map), alone[order])
    np.testing.assert_array_equal(apply_feature_map(bow[::-1], feature_map), alone[::-1])


@pytest.mark.parametrize("feature_map", MAPS)
@pytest.mark.parametrize("length", [20, 1000])
def test_the_order_in_memory_changes_no_bit(
    rng: np.random.Generator, feature_map: FeatureMap, length: int
) -> None:
    bow = histograms(rng, length=length)
    by_column = apply_feature_map(np.asfortranarray(bow), feature_map)
    np.testing.assert_array_equal(by_column, apply_feature_map(bow, feature_map))


def test_no_encodings_at_all() -> None:
    assert apply_feature_map(np.empty((0, 5), np.float32), "chi2").shape == (0, 15)


def test_an_unknown_map_is_named() -> None:
    message = "feature_map must be one of none, l2, hellinger, chi2, but is 'rbf'"
    with pytest.raises(ValueError, match=message):
        apply_feature_map(np.ones((1, 2)), "rbf")  # type: ignore[arg-type]
