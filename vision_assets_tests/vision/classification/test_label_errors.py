import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.classification.label_errors import (
    class_thresholds,
    confident_labels,
    suggested_labels,
)

Case = tuple[NDArray[np.float64], NDArray[np.int64]]


def cases_of(draw: st.DrawFn) -> Case:
    """Probabilities, often equal ones, and labels."""
    count, classes = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    weights = draw(hnp.arrays(np.int64, (count, classes), elements=st.integers(1, 6)))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    return weights / weights.sum(axis=1, keepdims=True), labels


cases = st.composite(cases_of)()


def thresholds_by_hand(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[float]:
    """Equation 2 of the paper, image by image."""
    thresholds = []
    for label in range(probabilities.shape[1]):
        own = [
            row[label] for row, given_label in zip(probabilities, labels, strict=True) if given_label == label
        ]
        thresholds.append(sum(own) / len(own) if own else np.inf)
    return thresholds


def confident_by_hand(row: NDArray[np.float64], thresholds: NDArray[np.float64]) -> int:
    """The confident label by equation 1 of the paper."""
    reached = [label for label, share in enumerate(row) if share >= thresholds[label]]
    return max(reached, key=lambda label: (row[label], -label)) if reached else -1


@given(cases)
def test_thresholds_are_mean_self_confidences(case: Case) -> None:
    probabilities, labels = case
    own = probabilities[np.arange(len(labels)), labels]
    found = class_thresholds(own, labels, probabilities.shape[1])
    np.testing.assert_allclose(found, thresholds_by_hand(probabilities, labels))


@given(cases)
def test_labels_are_those_of_a_loop_over_the_images(case: Case) -> None:
    probabilities, labels = case
    own = probabilities[np.arange(len(labels)), labels]
    thresholds = class_thresholds(own, labels, probabilities.shape[1])
    confident = [confident_by_hand(row, thresholds) for row in probabilities]
    np.testing.assert_array_equal(confident_labels(probabilities, thresholds), confident)
    suggested = [
        other if other >= 0 and row[other] > row[label] else -1
        for row, label, other in zip(probabilities, labels, confident, strict=True)
    ]
    np.testing.assert_array_equal(suggested_labels(probabilities, labels, thresholds), suggested)


def test_an_example_gives_what_cleanlab_finds() -> None:
    """Values of cleanlab 2.9.0: thresholds, `compute_confident_joint`, `find_label_issues`."""
    probabilities = np.array(
        [
            [0.9, 0.1, 0.0],
            [0.7, 0.2, 0.1],
            [0.2, 0.7, 0.1],
            [0.1, 0.8, 0.1],
            [0.85, 0.1, 0.05],
            [0.1, 0.1, 0.8],
            [0.3, 0.3, 0.4],
            [0.05, 0.9, 0.05],
            [0.4, 0.35, 0.25],
        ]
    )
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 1])
    thresholds = class_thresholds(probabilities[np.arange(9), labels], labels, 3)
    np.testing.assert_allclose(thresholds, [0.6, 0.41666667, 0.41666667])
    confident = confident_labels(probabilities, thresholds)
    joint = np.zeros((3, 3), int)
    np.add.at(joint, (labels[confident >= 0], confident[confident >= 0]), 1)
    np.testing.assert_array_equal(joint, [[2, 1, 0], [1, 1, 0], [0, 1, 1]])
    found = np.flatnonzero(suggested_labels(probabilities, labels, thresholds) >= 0)
    np.testing.assert_array_equal(found, [2, 4, 7])


def test_one_image_does_not_change_another_one(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet(np.ones(4), 50)
    labels = rng.integers(0, 4, 50)
    thresholds = np.array([0.3, 0.2, 0.4, 0.25])
    found = suggested_labels(probabilities, labels, thresholds)
    assert -1 in found
    assert (found >= 0).any()
    alone = [suggested_labels(probabilities[[i]], labels[[i]], thresholds)[0] for i in range(50)]
    np.testing.assert_array_equal(found, alone)


def test_no_images_have_no_labels() -> None:
    none = np.empty((0, 3)), np.empty(0, np.int64)
    assert suggested_labels(*none, np.full(3, 0.5)).shape == (0,)
    np.testing.assert_array_equal(class_thresholds(np.empty(0), none[1], 3), np.full(3, np.inf))
