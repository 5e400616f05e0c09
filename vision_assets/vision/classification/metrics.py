"""How good a classifier is: figures from confusion matrices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassFigures(NamedTuple):
    """Figures of each class; NaN where a figure has no meaning, as the recall of a class without images.

    Attributes
    ----------
    precision : ndarray of shape (n,), dtype float64
        Share of those classified so that are right.
    recall : ndarray of shape (n,), dtype float64
        Share of the class's images that are right: the class's accuracy.
    f1 : ndarray of shape (n,), dtype float64
        Harmonic mean of the two; 0 if nothing is right, NaN without images.
    support : ndarray of shape (n,), dtype int64
        Images of the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


class Accuracy(NamedTuple):
    """Figures of a classifier over several splits.

    Attributes
    ----------
    accuracy : float
        Share of the images that are right.
    mean_per_class : float
        Mean of the classes' recalls over classes and splits: the figure of the papers.
    std_per_class : float
        Standard deviation over the splits (with n - 1) of the mean over the classes; 0 for one split.
    macro_f1 : float
        Mean of the classes' F1 over classes and splits.
    chance : float
        What guessing reaches on average: 1 / number of classes.
    majority : float
        Accuracy of always naming the class with the most images.
    majority_class : int
        That class.
    """

    accuracy: float
    mean_per_class: float
    std_per_class: float
    macro_f1: float
    chance: float
    majority: float
    majority_class: int


def class_figures(confusion: NDArray[np.int64]) -> ClassFigures:
    """Compute the figures of each class.

    Parameters
    ----------
    confusion : ndarray of shape (n, n), dtype int64
        Number of images by true class (row) and predicted class (column).

    Returns
    -------
    ClassFigures
    """
    right = np.diag(confusion).astype(np.float64)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return ClassFigures(
        precision=_ratio(right, predicted),
        recall=_ratio(right, support),
        f1=np.where(support > 0, _ratio(2 * right, support + predicted), np.nan),
        support=support,
    )


def accuracy(confusions: NDArray[np.int64]) -> Accuracy:
    """Compute the figures of a classifier.

    Parameters
    ----------
    confusions : ndarray of shape (splits, n, n), dtype int64
        Number of images by true class (row) and predicted class (column), at least one in each split.

    Returns
    -------
    Accuracy
    """
    figures = [class_figures(confusion) for confusion in confusions]
    recalls = np.array([each.recall for each in figures])
    per_split = np.nanmean(recalls, axis=1)
    supports = confusions.sum(axis=(0, 2))
    return Accuracy(
        accuracy=float(np.trace(confusions, axis1=1, axis2=2).sum() / supports.sum()),
        mean_per_class=float(np.nanmean(recalls)),
        std_per_class=float(per_split.std(ddof=1)) if len(per_split) > 1 else 0.0,
        macro_f1=float(np.nanmean([each.f1 for each in figures])),
        chance=1 / confusions.shape[1],
        majority=float(supports.max() / supports.sum()),
        majority_class=int(supports.argmax()),
    )


def most_confused(confusion: NDArray[np.int64], count: int) -> list[tuple[int, int, int]]:
    """Find the pairs of classes that are confused most often.

    Parameters
    ----------
    confusion : ndarray of shape (n, n), dtype int64
        Number of images by true class (row) and predicted class (column).
    count : int
        How many pairs at most.

    Returns
    -------
    list of (int, int, int)
        True class, predicted class and number of images, the largest number first, then in the order of the
        classes.
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [(int(r), int(c), int(wrong[r, c])) for r, c in zip(rows, columns, strict=True) if wrong[r, c]]


def _ratio(part: NDArray[np.float64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
