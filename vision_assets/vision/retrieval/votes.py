"""The first stage of a search: features of the query vote for images with features of the same word."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.indexed_features import IndexedFeatures
from vision_assets.vision.retrieval.ranges import join_ranges
from vision_assets.vision.retrieval.shard import Shard

VOTE_DISTANCE = 14
"""Largest Hamming distance of two signatures whose features vote."""
MATCH_DISTANCE = 20
"""Largest Hamming distance of two signatures whose features may match in the second stage."""

_VOTE_SIGMA_SQUARED = 64.0
_VOTE_ONE = 2**12
_IDF_ONE = 2**10
_ROOT_ONE = 2**16
SCORE_ONE = _VOTE_ONE * _IDF_ONE
"""A score is stored as an integer: this is a score of 1."""


class Visit(NamedTuple):
    """Features of a shard that resemble features of a query, in the order of the query's features.

    Attributes
    ----------
    features : ndarray of shape (N,), dtype int64
        Index of the query's feature.
    postings : ndarray of shape (N,), dtype int64
        Index of the shard's feature.
    images : ndarray of shape (N,), dtype int64
        Number of its image within the shard.
    distances : ndarray of shape (N,), dtype uint8
        Hamming distance of the signatures, at most `MATCH_DISTANCE`.
    """

    features: NDArray[np.int64]
    postings: NDArray[np.int64]
    images: NDArray[np.int64]
    distances: NDArray[np.uint8]


def visit(query: IndexedFeatures, shard: Shard) -> Visit:
    """Compare the features of a query with those of a shard that have the same word.

    Parameters
    ----------
    query : IndexedFeatures
    shard : Shard

    Returns
    -------
    Visit
    """
    starts = shard.offsets[query.words].astype(np.int64)
    ends = shard.offsets[query.words + 1].astype(np.int64)
    counts = ends - starts
    postings = join_ranges(starts, ends)
    differences = shard.signatures[postings]
    differences ^= np.repeat(query.signatures, counts)
    distances = np.bitwise_count(differences)
    similar = np.flatnonzero(distances <= MATCH_DISTANCE)
    found = postings[similar]
    return Visit(
        np.searchsorted(np.cumsum(counts), similar, side="right"),
        found,
        shard.images[found].astype(np.int64),
        distances[similar],
    )


def score(
    query: IndexedFeatures, visited: Visit, weights: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Score the images of a shard.

    Parameters
    ----------
    query : IndexedFeatures
    visited : Visit
        Of this query.
    weights : ndarray of shape (words,), dtype int64
        Weight of each word, from `word_weights`.
    count : int
        Number of images of the shard.

    Returns
    -------
    ndarray of shape (count,), dtype int64
        Scores in units of ``1 / SCORE_ONE``.

    Notes
    -----
    A feature votes with exp(-h² / 64) · idf² for a feature of the same word at Hamming distance h. All its
    votes for one image are divided by the root of their number (Jégou, Douze, Schmid: On the burstiness of
    visual elements, 2009). Votes are integers, so a score does not depend on their order.
    """
    voting = np.flatnonzero(visited.distances <= VOTE_DISTANCE)
    features, images = visited.features[voting], visited.images[voting]
    # Features of a word are in the order of their images, so equal pairs are neighbours.
    first = np.flatnonzero(np.diff(features * count + images, prepend=-1))
    if not len(first):
        return np.zeros(count, np.int64)
    sums = np.add.reduceat(_votes()[visited.distances[voting]], first)
    numbers = np.diff(np.append(first, len(voting)))
    votes = sums * weights[query.words[features[first]]] * _inverse_roots(numbers) // _ROOT_ONE
    return np.bincount(images[first], votes, minlength=count).astype(np.int64)


def inverse_document_frequencies(image_counts: NDArray[np.int64], images: int) -> NDArray[np.float64]:
    """Return the inverse document frequency of words.

    Parameters
    ----------
    image_counts : ndarray of shape (N,), dtype int64
        Number of images with each word.
    images : int
        Number of images that were counted.

    Returns
    -------
    ndarray of shape (N,), dtype float64
        ``ln((images + 1) / (count + 1))``. Computed once and stored, because logarithms differ in their last
        bit between processors.
    """
    distinct, index = np.unique(image_counts, return_inverse=True)
    return np.array([math.log((images + 1) / (count + 1)) for count in distinct.tolist()])[index]


def word_weights(frequencies: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the weights of words: ndarray of shape (N,), dtype int64, idf² in units of 1/1024, rounded.

    Parameters
    ----------
    frequencies : ndarray of shape (N,), dtype float64
        Their inverse document frequencies.
    """
    return np.rint(frequencies * frequencies * _IDF_ONE).astype(np.int64)


@cache
def _votes() -> NDArray[np.int64]:
    return np.array(
        [round(_VOTE_ONE * math.exp(-(h**2) / _VOTE_SIGMA_SQUARED)) for h in range(VOTE_DISTANCE + 1)]
    )


def _inverse_roots(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return (_ROOT_ONE / np.sqrt(numbers)).astype(np.int64)
