"""Feature maps, with which a linear classifier compares encodings like a kernel of histograms does."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.encoding.bag_of_words import normalize

FeatureMap = Literal["none", "l2", "hellinger", "chi2"]

_PERIOD = 0.5
"""Sampling period of the kernel's spectrum, for three values per word."""


def apply_feature_map(bow: NDArray[np.floating], feature_map: FeatureMap) -> NDArray[np.float64]:
    """Map encodings to the features that a linear classifier takes.

    Parameters
    ----------
    bow : ndarray of shape (M, k), any float dtype
        Non-negative encodings.
    feature_map : {"none", "l2", "hellinger", "chi2"}
        `l2` divides by the norm. `hellinger` is the square root after division by the sum: the inner product
        of two results is the Hellinger kernel. `chi2` approximates the chi-square kernel
        ``2 x y / (x + y)`` of the vectors divided by their sums.

    Returns
    -------
    ndarray of shape (M, k) or, for `chi2`, (M, 3 k), dtype float64
        A row depends on its encoding alone. Zero vectors stay zero.

    Raises
    ------
    ValueError
        If `feature_map` is unknown.

    Notes
    -----
    `chi2` is the sampled explicit map of Vedaldi and Zisserman, Efficient Additive Kernels via Explicit
    Feature Maps (2012), eq. 11 with n = 1: it samples the spectrum ``sech(pi lambda)`` of the kernel at 0
    and at one period.

    Examples
    --------
    >>> import numpy as np
    >>> apply_feature_map(np.array([[9.0, 16.0, 0.0]]), "hellinger")
    array([[0.6, 0.8, 0. ]])
    """
    if feature_map not in get_args(FeatureMap):
        choices = ", ".join(get_args(FeatureMap))
        raise ValueError(f"feature_map must be one of {choices}, but is {feature_map!r}")
    vectors = bow.astype(np.float64, order="C")  # the order of summation changes the last bits
    if feature_map == "chi2":
        return _chi2(normalize(vectors, "l1"))
    return normalize(vectors, feature_map)


def mapped_length(length: int, feature_map: FeatureMap) -> int:
    """Return the number of features of an encoding.

    Parameters
    ----------
    length : int
        Length of the encoding.
    feature_map : {"none", "l2", "hellinger", "chi2"}

    Returns
    -------
    int

    Examples
    --------
    >>> mapped_length(1000, "chi2")
    3000
    """
    return 3 * length if feature_map == "chi2" else length


def _chi2(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    phase = _PERIOD * np.log(np.where(vectors > 0, vectors, 1))
    first = np.sqrt(_PERIOD * vectors)
    second = np.sqrt(2 * _PERIOD / np.cosh(np.pi * _PERIOD) * vectors)
    return np.hstack([first, second * np.cos(phase), second * np.sin(phase)])
