"""Metrics of a classifier, computed from confusion matrices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassFigures(NamedTuple):
    """Metrics of each class; NaN where a metric is undefined, such as the recall of a class without images.

    Attributes
    ----------
    precision : ndarray of shape (n,), dtype float64
        Share of the images predicted as the class that belong to it.
    recall : ndarray of shape (n,), dtype float64
        Share of the images of the class that are predicted as it: the accuracy of the class.
    f1 : ndarray of shape (n,), dtype float64
        Harmonic mean of precision and recall; 0 if no image is predicted correctly, NaN without images.
    support : ndarray of shape (n,), dtype int64
        Number of images of the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


class Accuracy(NamedTuple):
    """Metrics of a classifier over several splits.

    Attributes
    ----------
    accuracy : float
        Share of the images that are predicted correctly.
    mean_per_class : float
        Mean recall over classes and splits: the figure that papers report.
    std_per_class : float
        Standard deviation (with n - 1) over the splits of the mean recall; 0 for a single split.
    macro_f1 : float
        Mean F1 over classes and splits.
    chance : float
        Expected accuracy of random guesses: 1 / number of classes.
    majority : float
        Accuracy of always predicting the class with the most images.
    majority_class : int
        Index of that class.
    """

    accuracy: float
    mean_per_class: float
    std_per_class: float
    macro_f1: float
    chance: float
    majority: float
    majority_class: int


def class_figures(confusion: NDArray[np.int64]) -> ClassFigures:
    """Compute the metrics of each class.

    Parameters
    ----------
    confusion : ndarray of shape (n, n), dtype int64
        Number of images by true class (row) and predicted class (column).

    Returns
    -------
    ClassFigures

    Examples
    --------
    >>> import numpy as np
    >>> figures = class_figures(np.array([[3, 1], [0, 4]]))
    >>> figures.recall.tolist(), figures.precision.tolist()
    ([0.75, 1.0], [1.0, 0.8])
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
    """Compute the metrics of a classifier.

    Parameters
    ----------
    confusions : ndarray of shape (splits, n, n), dtype int64
        Number of images by true class (row) and predicted class (column), at least one in each split.

    Returns
    -------
    Accuracy

    Examples
    --------
    >>> import numpy as np
    >>> figures = accuracy(np.array([[[3, 1], [0, 4]]]))
    >>> figures.accuracy, figures.mean_per_class, figures.chance
    (0.875, 0.875, 0.5)
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
        Maximum number of pairs.

    Returns
    -------
    list of (int, int, int)
        True class, predicted class and number of images, the largest number first, ties in the order of the
        classes.

    Examples
    --------
    >>> import numpy as np
    >>> most_confused(np.array([[5, 2, 0], [1, 5, 3], [0, 0, 5]]), count=2)
    [(1, 2, 3), (0, 1, 2)]
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [(int(r), int(c), int(wrong[r, c])) for r, c in zip(rows, columns, strict=True) if wrong[r, c]]


def _ratio(part: NDArray[np.float64], total: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, total, out=np.full(len(part), np.nan), where=total > 0)
