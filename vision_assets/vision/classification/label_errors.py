"""Likely label errors by confident learning, from out-of-sample probabilities.

The method is that of Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels,
Journal of Artificial Intelligence Research 70 (2021), section 3.
"""

import numpy as np
from numpy.typing import NDArray


def class_thresholds(
    confidences: NDArray[np.float64], labels: NDArray[np.integer], n_classes: int
) -> NDArray[np.float64]:
    """Compute the probability from which on an image counts as one of a class.

    Parameters
    ----------
    confidences : ndarray of shape (M,), dtype float64
        Self-confidence of each image: the out-of-sample probability of its own label.
    labels : ndarray of shape (M,), any integer dtype
        Index of the label of each image.
    n_classes : int

    Returns
    -------
    ndarray of shape (n_classes,), dtype float64
        Mean self-confidence of the images of each label (equation 2 of the paper); infinite for a label
        without images.

    Examples
    --------
    >>> import numpy as np
    >>> class_thresholds(np.array([0.5, 1.0, 0.25]), np.array([0, 0, 2]), 3)
    array([0.75,  inf, 0.25])
    """
    totals = np.bincount(labels, confidences, n_classes)
    counts = np.bincount(labels, minlength=n_classes)
    return np.divide(totals, counts, out=np.full(n_classes, np.inf), where=counts > 0)


def confident_labels(
    probabilities: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Find the class that each image confidently belongs to.

    Counting the images by label and confident label gives the confident joint (equation 1 of the paper).

    Parameters
    ----------
    probabilities : ndarray of shape (M, n), dtype float64
        Out-of-sample probability of each class.
    thresholds : ndarray of shape (n,), dtype float64
        From `class_thresholds`.

    Returns
    -------
    ndarray of shape (M,), dtype int64
        The most probable one of the classes whose probability reaches their threshold; -1 if no class does.

    Examples
    --------
    >>> import numpy as np
    >>> confident_labels(np.array([[0.6, 0.4], [0.7, 0.3], [0.5, 0.5]]), np.array([0.65, 0.35]))
    array([1, 0, 1])
    """
    reaches = probabilities >= thresholds
    best = np.where(reaches, probabilities, -1.0).argmax(axis=1)
    return np.where(reaches.any(axis=1), best, -1)


def suggested_labels(
    probabilities: NDArray[np.float64], labels: NDArray[np.integer], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Suggest another label for the images that are likely to have a wrong one.

    Parameters
    ----------
    probabilities : ndarray of shape (M, n), dtype float64
        Out-of-sample probability of each class.
    labels : ndarray of shape (M,), any integer dtype
        Index of the label of each image.
    thresholds : ndarray of shape (n,), dtype float64
        From `class_thresholds`.

    Returns
    -------
    ndarray of shape (M,), dtype int64
        The confident label of an image off the diagonal of the confident joint, if it is also more probable
        than the label of the image; else -1.

    Examples
    --------
    >>> import numpy as np
    >>> probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.6, 0.4]])
    >>> suggested_labels(probabilities, np.array([0, 1, 0]), np.array([0.65, 0.35]))
    array([ 1, -1, -1])
    """
    suggested = confident_labels(probabilities, thresholds)
    rows = np.arange(len(labels))
    # Where there is no confident label, the last class stands in, and the result is not used.
    likelier = probabilities[rows, suggested] > probabilities[rows, labels]
    return np.where((suggested >= 0) & likelier, suggested, -1)
