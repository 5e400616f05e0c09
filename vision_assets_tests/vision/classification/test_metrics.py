import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
)

from vision_assets.vision.classification.metrics import accuracy, class_figures, most_confused


def images_of(confusion: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and predicted class of each image."""
    true, predicted = np.indices(confusion.shape)
    counts = confusion.reshape(-1)
    return np.repeat(true.reshape(-1), counts), np.repeat(predicted.reshape(-1), counts)


def confusions_of(draw: st.DrawFn) -> NDArray[np.int64]:
    classes = draw(st.integers(2, 6))
    shape = st.tuples(st.integers(1, 4), st.just(classes), st.just(classes))
    values = st.one_of(st.just(0), st.integers(0, 9))
    return draw(hnp.arrays(np.int64, shape, elements=values))


confusion_matrices = st.composite(confusions_of)()


@given(confusion_matrices)
def test_class_figures_are_those_of_scikit_learn(confusions: NDArray[np.int64]) -> None:
    for confusion in confusions:
        true, predicted = images_of(confusion)
        assume(len(true))
        precision, recall, f1, support = precision_recall_fscore_support(
            true, predicted, labels=range(len(confusion)), zero_division=np.nan
        )
        figures = class_figures(confusion)
        np.testing.assert_allclose(figures.precision, precision)
        np.testing.assert_allclose(figures.recall, recall)
        np.testing.assert_allclose(figures.f1, np.where(support > 0, f1, np.nan))
        np.testing.assert_array_equal(figures.support, support)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@given(confusion_matrices)
def test_accuracy_is_what_scikit_learn_finds_over_classes_and_splits(
    confusions: NDArray[np.int64],
) -> None:
    assume(confusions.any(axis=(1, 2)).all())
    pairs = [images_of(confusion) for confusion in confusions]
    figures = accuracy(confusions)
    everything = [np.concatenate(parts) for parts in zip(*pairs, strict=True)]
    assert figures.accuracy == pytest.approx(accuracy_score(*everything))
    recalls = [recall_score(t, p, average=None, labels=np.unique(t), zero_division=0) for t, p in pairs]
    assert figures.mean_per_class == pytest.approx(np.concatenate(recalls).mean())
    per_split = [balanced_accuracy_score(t, p) for t, p in pairs]
    assert figures.std_per_class == pytest.approx(np.std(per_split, ddof=1) if len(pairs) > 1 else 0)
    f1 = [f1_score(t, p, average=None, labels=np.unique(t), zero_division=0) for t, p in pairs]
    assert figures.macro_f1 == pytest.approx(np.concatenate(f1).mean())
    assert figures.chance == 1 / confusions.shape[1]
    truth = np.bincount(everything[0])
    assert figures.majority == pytest.approx(truth.max() / truth.sum())
    assert figures.majority_class == truth.argmax()


def test_figures_that_are_easily_checked_by_hand() -> None:
    figures = class_figures(np.array([[3, 1, 0], [0, 0, 2], [0, 0, 0]]))
    np.testing.assert_array_equal(figures.precision, [1, 0, 0])
    np.testing.assert_array_equal(figures.recall, [0.75, 0, np.nan])
    np.testing.assert_allclose(figures.f1, [6 / 7, 0, np.nan])
    np.testing.assert_array_equal(figures.support, [4, 2, 0])


def test_a_class_without_images_and_without_predictions_has_no_figures() -> None:
    confusion = np.array([[2, 0, 0], [0, 0, 0], [1, 0, 1]])
    figures = class_figures(confusion)
    for values in (figures.precision, figures.recall, figures.f1):
        assert np.isnan(values[1])
        assert np.isfinite(values[[0, 2]]).all()
    assert accuracy(confusion[None]).mean_per_class == 0.75, "it is left out of the mean"
    assert accuracy(confusion[None]).chance == pytest.approx(1 / 3)


def test_the_deviation_over_splits_is_that_of_a_sample() -> None:
    confusions = np.array([np.diag([4, 4]), [[2, 2], [0, 4]], [[2, 2], [2, 2]]])
    figures = accuracy(confusions)
    assert figures.mean_per_class == pytest.approx(0.75)
    assert figures.std_per_class == pytest.approx(0.25)
    assert accuracy(confusions[:1]).std_per_class == 0


def test_the_majority_is_that_of_all_splits_together() -> None:
    confusions = np.array([[[1, 0], [2, 1]], [[4, 4], [0, 2]]])
    figures = accuracy(confusions)
    assert figures.majority == pytest.approx(9 / 14)
    assert figures.majority_class == 0


def test_most_confused_names_the_largest_first_and_then_in_the_order_of_the_classes() -> None:
    confusion = np.array([[90, 2, 5], [2, 80, 0], [5, 7, 70]])
    assert most_confused(confusion, 10) == [(2, 1, 7), (0, 2, 5), (2, 0, 5), (0, 1, 2), (1, 0, 2)]
    assert most_confused(confusion, 3) == [(2, 1, 7), (0, 2, 5), (2, 0, 5)]
    assert most_confused(confusion, 0) == []
    np.testing.assert_array_equal(confusion.diagonal(), [90, 80, 70], "the input is as it was")


def test_nothing_is_confused_where_all_is_right() -> None:
    assert most_confused(np.diag([3, 4, 0]), 5) == []


@given(confusion_matrices, st.integers(0, 40))
def test_most_confused_is_a_sorted_list_of_all_pairs(confusions: NDArray[np.int64], count: int) -> None:
    confusion = confusions[0]
    pairs = [
        (i, j, int(confusion[i, j]))
        for i in range(len(confusion))
        for j in range(len(confusion))
        if i != j and confusion[i, j]
    ]
    assert most_confused(confusion, count) == sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))[:count]
