"""Coding and pooling: from the descriptors of an image to one vector, its bag of visual words."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, squared_distances
from vision_assets.vision.vocabulary.fixed_point import Descriptors

Pooling = Literal["sum", "max", "count"]
Normalization = Literal["none", "l1", "l2", "hellinger"]


def encode(
    descriptors: Descriptors,
    counts: NDArray[np.integer],
    centers: Vocabulary,
    pooling: Pooling,
    normalization: Normalization,
) -> NDArray[np.float32]:
    """Encode a batch of images.

    Each descriptor goes to its nearest centre; what is pooled per word is the Euclidean distance to it
    (`sum`, `max`) or one (`count`, the histogram).

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
        The descriptors of all images, one image after the other.
    counts : ndarray of shape (M,), dtype int
        Number of descriptors of each image; their sum is N.
    centers : Vocabulary
        k centres of length d.
    pooling : {"sum", "max", "count"}
    normalization : {"none", "l1", "l2", "hellinger"}
        Of each vector; `hellinger` is the square root after `l1`. A zero vector stays zero.

    Returns
    -------
    ndarray of shape (M, k), dtype float32
        A row depends on its image's descriptors and the centres alone. An image without descriptors has a
        row of zeros.

    Raises
    ------
    ValueError
        If `pooling` or `normalization` is unknown, or the lengths do not fit.
    """
    _require(pooling, get_args(Pooling), "pooling")
    _require(normalization, get_args(Normalization), "normalization")
    if counts.sum() != len(descriptors):
        raise ValueError(f"counts add up to {counts.sum()}, but there are {len(descriptors)} descriptors")
    k = len(centers)
    words = assign(descriptors, centers)
    cells = np.repeat(np.arange(len(counts)) * k, counts) + words
    pooled = np.zeros(len(counts) * k, np.float64)
    if pooling == "count":
        pooled += np.bincount(cells, minlength=len(pooled))
    else:
        distances = np.sqrt(squared_distances(descriptors, centers, words))
        if pooling == "sum":
            pooled += np.bincount(cells, weights=distances, minlength=len(pooled))
        else:
            np.maximum.at(pooled, cells, distances)
    return normalize(pooled.reshape(len(counts), k), normalization).astype(np.float32)


def normalize(vectors: NDArray[np.float64], normalization: Normalization) -> NDArray[np.float64]:
    """Normalise each vector.

    Parameters
    ----------
    vectors : ndarray of shape (M, k), dtype float64
        Non-negative.
    normalization : {"none", "l1", "l2", "hellinger"}

    Returns
    -------
    ndarray of shape (M, k), dtype float64
        Zero vectors stay zero.
    """
    if normalization == "none":
        return vectors
    norms = np.sqrt(np.square(vectors).sum(axis=1)) if normalization == "l2" else vectors.sum(axis=1)
    scaled = vectors / np.where(norms > 0, norms, 1)[:, None]
    return np.sqrt(scaled) if normalization == "hellinger" else scaled


def _require(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")
