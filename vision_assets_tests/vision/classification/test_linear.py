import io
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from vision_assets.vision.classification.linear import (
    Classifier,
    classifier_from_npz,
    classifier_to_npz,
    linear_scores,
    round_weights,
)
from vision_assets.vision.encoding.kernel_maps import FeatureMap, apply_feature_map

LENGTHS = [1, 2, 1000, 5000]


def bits_of(length: int) -> int:
    """The largest b, at most 24, with which `length` products of two b-bit numbers add up exactly."""
    return max(bits for bits in range(25) if length * 4**bits <= 2**53)


def rounded(values: NDArray[np.floating], largest: float, bits: int) -> list[Fraction]:
    """Round to multiples of a power of two, of which `largest` has at most 2^bits; halves to even."""
    step = Fraction(2) ** (np.frexp(largest)[1].item() - bits)
    return [round(Fraction(float(value)) / step) * step for value in values]


def exact_scores(
    features: NDArray[np.float64], weights: NDArray[np.float32], intercepts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scores in rational numbers: exact up to the final addition of the intercept in float64."""
    bits = bits_of(features.shape[1])
    scores = np.empty((len(features), len(weights)))
    for i, row in enumerate(features):
        values = rounded(row, np.abs(row).max(), bits)
        for j, weight in enumerate(weights):
            exact = sum((v * Fraction(float(w)) for v, w in zip(values, weight, strict=True)), Fraction(0))
            assert Fraction(float(exact)) == exact, "the sum does not fit into float64"
            scores[i, j] = float(exact) + intercepts[j]
    return scores


def random_model(
    rng: np.random.Generator,
    length: int,
    magnitude: float = 1,
    images: int = 5,
    classes: int = 3,
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
    """Features, rounded weights and intercepts; the values of a row differ by many orders of magnitude."""
    features = rng.standard_normal((images, length)) * 10.0 ** rng.integers(-9, 1, (images, length))
    weights = rng.standard_normal((classes, length)) * 10.0 ** rng.integers(-9, 1, (classes, length))
    return features * magnitude, round_weights(weights / magnitude), rng.standard_normal(classes)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([*LENGTHS, 3, 17, 200]),
    st.sampled_from([1e-25, 1e-6, 1.0, 1e5, 1e25]),
    st.data(),
)
def test_scores_are_the_same_to_the_bit_in_any_batch(
    seed: int, length: int, magnitude: float, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    features, weights, intercepts = random_model(rng, length, magnitude, images=data.draw(st.integers(1, 40)))
    together = linear_scores(features, weights, intercepts)
    alone = np.vstack([linear_scores(row[None], weights, intercepts) for row in features])
    np.testing.assert_array_equal(together, alone, strict=True)
    chosen = data.draw(st.lists(st.integers(0, len(features) - 1), min_size=1, max_size=50))
    np.testing.assert_array_equal(linear_scores(features[chosen], weights, intercepts), alone[chosen])
    by_column = linear_scores(np.asfortranarray(features), np.asfortranarray(weights), intercepts)
    np.testing.assert_array_equal(by_column, alone)
    # The order of the sum has no meaning either.
    words = rng.permutation(length)
    np.testing.assert_array_equal(linear_scores(features[:, words], weights[:, words], intercepts), alone)
    classes = rng.permutation(len(weights))
    np.testing.assert_array_equal(
        linear_scores(features, weights[classes], intercepts[classes]), alone[:, classes]
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("magnitude", [1e-25, 1.0, 1e25])
def test_scores_are_exact(rng: np.random.Generator, length: int, magnitude: float) -> None:
    features, weights, intercepts = random_model(rng, length, magnitude, images=2)
    expected = exact_scores(features, weights, intercepts)
    np.testing.assert_array_equal(linear_scores(features, weights, intercepts), expected)


@pytest.mark.parametrize("length", [*LENGTHS, 4096, 4097])
def test_the_largest_sums_are_exact(length: int) -> None:
    """All values at the upper end of their range, so that the sum takes all the bits there are."""
    features = np.full((1, length), 1 - 2.0**-53)
    weights = round_weights(np.full((2, length), 1 - 2.0**-53) * [[1], [-1]])
    weights[0, -1] = np.nextafter(weights[0, -1], np.float32(0))  # an odd one, so that no bit is spare
    features[0, 0] = 2.0 ** -bits_of(length)
    expected = exact_scores(features, weights, np.zeros(2))
    np.testing.assert_array_equal(linear_scores(features, weights, np.zeros(2)), expected)


@pytest.mark.parametrize("length", LENGTHS)
def test_scores_are_close_to_the_plain_product(rng: np.random.Generator, length: int) -> None:
    features = rng.random((20, length))
    weights = rng.standard_normal((4, length))
    intercepts = rng.standard_normal(4)
    scores = linear_scores(features, round_weights(weights), intercepts)
    error = np.abs(scores - (features @ weights.T + intercepts)).max()
    assert error < 4 * 2.0 ** -bits_of(length) * np.sqrt(length)


def test_zero_features_score_the_intercepts() -> None:
    weights, intercepts = round_weights(np.ones((2, 3))), np.array([0.1, -7.3])
    scores = linear_scores(np.zeros((2, 3)), weights, intercepts)
    np.testing.assert_array_equal(scores, [intercepts, intercepts])


def test_a_faint_image_is_rounded_by_its_own_largest_value(rng: np.random.Generator) -> None:
    row = rng.random((1, 50))
    weights = round_weights(rng.standard_normal((3, 50)))
    pair = np.vstack([row * 2.0**-60, row * 2.0**60])
    faint, bright = linear_scores(pair, weights, np.zeros(3))
    np.testing.assert_array_equal(faint * 2.0**120, bright)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("magnitude", [1e-25, 1.0, 1e25])
def test_weights_are_rounded_once_and_for_all(
    rng: np.random.Generator, length: int, magnitude: float
) -> None:
    weights = rng.standard_normal((3, length)) * magnitude
    stored = round_weights(weights)
    assert stored.dtype == np.float32
    largest = np.abs(weights).max()
    expected = [rounded(row, largest, bits_of(length)) for row in weights]
    assert [[Fraction(float(value)) for value in row] for row in stored] == expected, "float32 lost a bit"
    np.testing.assert_allclose(stored, weights, rtol=0, atol=largest * 2.0 ** -bits_of(length))
    np.testing.assert_array_equal(round_weights(stored.astype(np.float64)), stored)


def test_weights_of_zero() -> None:
    assert not round_weights(np.zeros((2, 5))).any()


@pytest.mark.parametrize("classes", [1, 2, 7, 101, 257])
def test_scipys_softmax_is_the_one_of_stored_tables_to_the_bit(
    rng: np.random.Generator, classes: int
) -> None:
    """A SciPy that sums in another order would change the probabilities of stored predictions."""
    scores = rng.standard_normal((30, classes)) * 5
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(softmax(scores, axis=1), expected)
    np.testing.assert_array_equal(np.vstack([softmax(row[None], axis=1) for row in scores]), expected)


def test_probabilities_of_scores_that_no_exponential_can_represent() -> None:
    classifier = Classifier(("a", "b"), np.zeros((1, 2, 3), np.float32), np.array([[1e6, -1e6]]), "none")
    np.testing.assert_array_equal(classifier.probabilities(np.ones((1, 3))), [[1, 0]])


@pytest.mark.parametrize("feature_map", ["none", "l2", "hellinger", "chi2"])
def test_probabilities_are_the_same_to_the_bit_in_any_batch(
    rng: np.random.Generator, feature_map: FeatureMap
) -> None:
    classifier = example(rng, feature_map)
    bow = (rng.random((50, 20)) * rng.integers(0, 2, (50, 20)) * 900).astype(np.float32)
    bow[7] = 0
    for split in range(classifier.splits):
        together = classifier.probabilities(bow, split)
        alone = np.vstack([classifier.probabilities(row[None], split) for row in bow])
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(classifier.probabilities(bow[::3], split), alone[::3])
        np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-14)
        plain = (
            apply_feature_map(bow, feature_map) @ classifier.weights[split].T + classifier.intercepts[split]
        )
        np.testing.assert_allclose(together, softmax(plain, axis=1), atol=1e-4)
    assert not np.array_equal(classifier.probabilities(bow, 0), classifier.probabilities(bow, 1))


LABELS = ("cats", 'it\'s a "dog"', "élan 象", "z")


def example(rng: np.random.Generator, feature_map: FeatureMap = "hellinger") -> Classifier:
    length = 60 if feature_map == "chi2" else 20
    # The features of `none` are large, so its weights are small.
    scale = 1e-3 if feature_map == "none" else 1
    return Classifier(
        labels=LABELS,
        weights=np.stack([round_weights(rng.standard_normal((4, length)) * scale) for _ in range(2)]),
        intercepts=rng.standard_normal((2, 4)),
        feature_map=feature_map,
        dictionary="20260101T000000-abcdef01-0123",
        settings={"seed": 3, "exclude_labels": ["BACKGROUND_Google", "é"], "test_per_class": None},
    )


def test_a_stored_classifier_comes_back(rng: np.random.Generator) -> None:
    classifier = example(rng)
    read = classifier_from_npz(classifier_to_npz(classifier))
    assert read.labels == classifier.labels
    assert all(type(label) is str for label in read.labels)
    assert (read.feature_map, read.dictionary) == (classifier.feature_map, classifier.dictionary)
    assert read.settings == classifier.settings
    assert read.splits == classifier.splits == 2
    np.testing.assert_array_equal(read.weights, classifier.weights, strict=True)
    np.testing.assert_array_equal(read.intercepts, classifier.intercepts, strict=True)


def test_equal_classifiers_are_equal_bytes() -> None:
    first, second = (example(np.random.default_rng(1)) for _ in range(2))
    second.settings.update({key: second.settings.pop(key) for key in list(second.settings)[:1]})
    assert list(first.settings) != list(second.settings)
    assert classifier_to_npz(first) == classifier_to_npz(second)
    assert classifier_to_npz(first) != classifier_to_npz(example(np.random.default_rng(2)))


def test_numpy_alone_reads_it(rng: np.random.Generator) -> None:
    classifier = example(rng)
    with np.load(io.BytesIO(classifier_to_npz(classifier)), allow_pickle=False) as stored:
        assert set(stored) == {"labels", "weights", "intercepts", "featureMap", "dictionary", "settings"}
        assert tuple(stored["labels"]) == LABELS
        assert stored["weights"].dtype == np.float32
        assert stored["weights"].shape == (2, 4, 20)
        assert stored["intercepts"].dtype == np.float64
        assert str(stored["featureMap"]) == "hellinger"
        assert str(stored["dictionary"]) == classifier.dictionary
        assert json.loads(str(stored["settings"])) == classifier.settings


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def arrays_of(data: bytes) -> dict[str, object]:
    with np.load(io.BytesIO(data)) as stored:
        return dict(stored)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(rng: np.random.Generator, share: float) -> None:
    data = classifier_to_npz(example(rng))
    with pytest.raises(ValueError, match="not a stored classifier"):
        classifier_from_npz(data[: int(len(data) * share)])


def test_a_file_with_a_changed_byte_is_refused(rng: np.random.Generator) -> None:
    data = bytearray(classifier_to_npz(example(rng)))
    data[data.index(b"weights.npy") + 200] ^= 1
    with pytest.raises(ValueError, match="not a stored classifier"):
        classifier_from_npz(bytes(data))


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04\x95"])
def test_random_bytes_are_refused(rng: np.random.Generator, start: bytes) -> None:
    with pytest.raises(ValueError, match="not a stored classifier"):
        classifier_from_npz(start + rng.bytes(3000))


def test_an_array_that_is_no_archive_is_refused() -> None:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    with pytest.raises(ValueError, match="not a stored classifier"):
        classifier_from_npz(file.getvalue())


class Trap:
    """What runs code when it is unpickled."""

    sprung = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return setattr, (Trap, "sprung", True)


@pytest.mark.parametrize("entry", ["labels", "weights", "settings"])
def test_nothing_is_unpickled(rng: np.random.Generator, entry: str) -> None:
    trap = np.empty(1, object)
    trap[0] = Trap()
    data = npz(**arrays_of(classifier_to_npz(example(rng))) | {entry: trap})
    with pytest.raises(ValueError, match="not a stored classifier"):
        classifier_from_npz(data)
    assert not Trap.sprung


@pytest.mark.parametrize("entry", ["labels", "weights", "intercepts", "featureMap", "dictionary", "settings"])
def test_a_missing_entry_is_refused(rng: np.random.Generator, entry: str) -> None:
    arrays = arrays_of(classifier_to_npz(example(rng)))
    del arrays[entry]
    with pytest.raises(ValueError, match=f"not a stored classifier.*{entry}"):
        classifier_from_npz(npz(**arrays))
