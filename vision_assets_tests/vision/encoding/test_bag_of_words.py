import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import euclidean

from vision_assets.vision.encoding.bag_of_words import BagOfWords, Normalization, Pooling
from vision_assets.vision.encoding.base import FeatureBatch
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, round_centers
from vision_assets.vision.vocabulary.fixed_point import Descriptors


def naive(descriptors: NDArray, centers: NDArray, pooling: str) -> NDArray:
    """The original's coding and pooling: a loop over descriptors and SciPy's Euclidean distance."""
    bow = np.zeros(len(centers))
    for descriptor in descriptors.astype(float):
        distances = [euclidean(descriptor, center) for center in centers]
        word = int(np.argmin(distances))
        if pooling == "sum":
            bow[word] += distances[word]
        elif pooling == "max":
            bow[word] = max(bow[word], distances[word])
        else:
            bow[word] += 1
    return bow


def encode(
    descriptors: Descriptors,
    counts: NDArray[np.integer],
    vocabulary: Vocabulary,
    pooling: Pooling = "sum",
    normalization: Normalization = "none",
) -> NDArray[np.float32]:
    words = assign(descriptors, vocabulary)
    return BagOfWords(pooling, normalization).encode(FeatureBatch(descriptors, counts), words, vocabulary)


def counts_of(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


@pytest.mark.parametrize("pooling", ["sum", "max", "count"])
def test_random_descriptors_equal_the_naive_loop(rng: np.random.Generator, pooling: Pooling) -> None:
    descriptors = rng.integers(0, 256, (90, 128), dtype=np.uint8)
    centers = round_centers(rng.random((20, 128)) * 255)
    bow = encode(descriptors, counts_of(30, 0, 60), Vocabulary(centers), pooling, "none")
    expected = [
        naive(part, centers, pooling) for part in (descriptors[:30], descriptors[:0], descriptors[30:])
    ]
    np.testing.assert_allclose(bow, expected, rtol=1e-4)


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(0, 12), st.just(4)), elements=st.sampled_from([0, 1, 128, 255])
    ),
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.just(4)),
        elements=st.sampled_from([0, 2, 255]),
        unique=False,
    ),
    st.sampled_from(["sum", "max", "count"]),
)
def test_degenerate_descriptors_equal_the_naive_loop(
    descriptors: NDArray[np.uint8], centers: NDArray[np.uint8], pooling: Pooling
) -> None:
    values = round_centers(centers)
    bow = encode(descriptors, counts_of(len(descriptors)), Vocabulary(values), pooling, "none")
    np.testing.assert_allclose(bow[0], naive(descriptors, values, pooling), rtol=1e-4)


@pytest.mark.parametrize("pooling", ["sum", "max", "count"])
def test_a_row_does_not_depend_on_its_batch(rng: np.random.Generator, pooling: Pooling) -> None:
    descriptors = rng.integers(0, 256, (600, 128), dtype=np.uint8)
    centers = Vocabulary(round_centers(rng.random((50, 128)) * 255))
    together = encode(descriptors, counts_of(1, 599), centers, pooling, "l2")
    alone = encode(descriptors[:1], counts_of(1), centers, pooling, "l2")
    np.testing.assert_array_equal(together[:1], alone)


@pytest.mark.parametrize(
    ("normalization", "norm"),
    [
        ("l1", lambda v: v.sum()),
        ("l2", lambda v: np.sqrt((v**2).sum())),
        ("hellinger", lambda v: (v**2).sum()),
    ],
)
def test_normalised_vectors_have_norm_one_and_zero_stays_zero(
    rng: np.random.Generator, normalization: Normalization, norm: object
) -> None:
    descriptors = rng.integers(0, 256, (40, 8), dtype=np.uint8)
    centers = Vocabulary(round_centers(rng.random((6, 8)) * 255))
    bow = encode(descriptors, counts_of(40, 0), centers, "sum", normalization)
    assert norm(bow[0].astype(float)) == pytest.approx(1, abs=1e-6)  # type: ignore[operator]
    assert not bow[1].any()


def test_hellinger_is_the_square_root_of_the_shares() -> None:
    descriptors = np.array([[0], [0], [0], [200]], np.uint8)
    bow = encode(descriptors, counts_of(4), Vocabulary(np.array([[0.0], [200.0]])), "count", "hellinger")
    np.testing.assert_allclose(bow, [[np.sqrt(0.75), 0.5]], rtol=1e-6)


def test_unknown_pooling_and_normalisation_are_named() -> None:
    with pytest.raises(ValueError, match="pooling must be one of sum, max, count, but is 'mean'"):
        BagOfWords(pooling="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="normalization must be one of none, l1, l2, hellinger, but is 'l3'"):
        BagOfWords.from_config({"normalization": "l3"})


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="counts add up to 3, but there are 1 descriptors"):
        encode(np.zeros((1, 2), np.uint8), counts_of(3), Vocabulary(np.zeros((1, 2))))


def test_a_vector_has_one_value_per_word() -> None:
    assert BagOfWords().length(Vocabulary(np.zeros((70, 2)))) == 70
    assert (BagOfWords.column, BagOfWords.uses_positions) == ("bow", False)
