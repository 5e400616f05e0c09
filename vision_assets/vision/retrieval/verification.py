"""The second stage of a search: which matches of a query and an image agree with one change of view."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.geometry import (
    Correspondences,
    are_alike,
    best_similarities,
    fit,
    residuals,
    similarities,
)
from vision_assets.vision.retrieval.indexed_features import POSITION_STEPS, IndexedFeatures
from vision_assets.vision.retrieval.shard import Shard
from vision_assets.vision.retrieval.votes import MATCH_DISTANCE, Visit

_MATCHES = 1000  # of an image, at most: those of the largest weight
_PROPOSALS = 400  # of an image, at most
_SIGMA_SQUARED = 144.0
_WEIGHT_ONE = 2**32
_TOLERANCES = (0.03, 0.02, 0.015, 0.01)  # shares of the diagonal, from the first estimate to the last


class Verified(NamedTuple):
    """How an image fits a query.

    Attributes
    ----------
    weight : float
        Sum over the inliers of ``exp(-h² / 144) / sqrt(n m)``, where h is the Hamming distance, and n and m
        are how many matches the two features have between these images.
    inliers : int
        Number of matches that agree with `transform`; no feature counts twice.
    transform : ndarray of shape (2, 3), dtype float64
        Maps (x, y, 1) in pixels of the query to pixels of the image: an affinity, or a similarity if there
        are few inliers. Zeros without any.
    """

    weight: float
    inliers: int
    transform: NDArray[np.float64]


class _Matches(NamedTuple):
    images: NDArray[np.int64]  # position in the list of candidates, ascending
    features: NDArray[np.int64]
    postings: NDArray[np.int64]
    weights: NDArray[np.float64]


def verify(
    query: IndexedFeatures, visited: Visit, shard: Shard, candidates: NDArray[np.int64]
) -> list[Verified]:
    """Find the change of view that most matches of each candidate agree with.

    Each match proposes the similarity that maps one keypoint to the other: its position, size and angle. All
    matches are compared with each proposal, so nothing is random. The best one is refined to an affinity.

    Parameters
    ----------
    query : IndexedFeatures
    visited : Visit
        Of this query.
    shard : Shard
    candidates : ndarray of shape (C,), dtype int64
        Distinct numbers of images of the shard.

    Returns
    -------
    list of Verified
        One for each candidate, which depends on the query and that image alone.
    """
    matches = _matches(visited, candidates, len(shard.sizes))
    pairs = _correspondences(query, shard, matches, candidates)
    proposals = np.flatnonzero(_ranks(matches) < _PROPOSALS)
    best = best_similarities(pairs, proposals, matches.weights, _TOLERANCES[0])
    transforms, chosen = np.zeros((len(candidates), 2, 3)), np.zeros(len(candidates), np.int64)
    chosen[pairs.images[best]] = best
    transforms[pairs.images[best]] = similarities(pairs, best)
    alike = np.flatnonzero(are_alike(pairs, chosen[pairs.images], np.arange(len(pairs.images))))
    of = pairs.images[alike]
    for tolerance in _TOLERANCES:
        missed = residuals(pairs, alike, transforms, of)
        transforms = fit(pairs, alike[missed <= tolerance], transforms)
    missed = residuals(pairs, alike, transforms, of)
    near = np.flatnonzero(missed <= _TOLERANCES[-1])
    inliers = _one_to_one(matches, alike[near[np.lexsort((missed[near], of[near]))]])
    counts = np.bincount(matches.images[inliers], minlength=len(candidates))
    weights = np.bincount(matches.images[inliers], matches.weights[inliers], minlength=len(candidates))
    transforms[counts == 0] = 0
    return [Verified(*each) for each in zip(weights.tolist(), counts.tolist(), transforms, strict=True)]


def _matches(visited: Visit, candidates: NDArray[np.int64], images: int) -> _Matches:
    positions = np.full(images, -1)
    positions[candidates] = np.arange(len(candidates))
    position = positions[visited.images]
    kept = np.flatnonzero(position >= 0)
    kept = kept[np.argsort(position[kept], kind="stable")]
    image, feature, posting = position[kept], visited.features[kept], visited.postings[kept]
    ambiguity = _occurrences(image, feature) * _occurrences(image, posting)
    matches = _Matches(image, feature, posting, _weights()[visited.distances[kept]] / np.sqrt(ambiguity))
    clear = _ranks(matches) < _MATCHES
    return _Matches(image[clear], feature[clear], posting[clear], matches.weights[clear])


def _occurrences(image: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each pair of an image and a number occurs."""
    keys = image * (number.max(initial=0) + 1) + number
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return counts[inverse]


def _ranks(matches: _Matches) -> NDArray[np.int64]:
    """Return the rank of each match by weight among those of its image, from 0."""
    order = np.lexsort((-matches.weights, matches.images))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - np.searchsorted(matches.images, matches.images)
    return ranks


def _correspondences(
    query: IndexedFeatures, shard: Shard, matches: _Matches, candidates: NDArray[np.int64]
) -> Correspondences:
    here, there = query.keypoints[matches.features], shard.keypoints[matches.postings]
    sizes = shard.sizes[candidates].astype(np.float64)
    return Correspondences(
        matches.images,
        _pixels(here, np.array([[query.width, query.height]])),
        _pixels(there, sizes[matches.images]),
        there["scale"].astype(np.int64) - here["scale"],
        there["angle"] - here["angle"],
        np.sqrt(sizes[:, 0] ** 2 + sizes[:, 1] ** 2),
    )


def _pixels(keypoints: NDArray[np.void], sizes: NDArray[np.number]) -> NDArray[np.float64]:
    steps = np.column_stack([keypoints["x"], keypoints["y"]]) + 0.5
    return steps / POSITION_STEPS * sizes.astype(np.float64) - 0.5


def _one_to_one(matches: _Matches, inliers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the first match of each feature, on both sides, in ascending order of the matches."""
    for numbers in (matches.features, matches.postings):
        keys = matches.images[inliers] * (numbers.max(initial=0) + 1) + numbers[inliers]
        inliers = inliers[np.sort(np.unique(keys, return_index=True)[1])]
    return np.sort(inliers)


@cache
def _weights() -> NDArray[np.float64]:
    # With fewer bits than those in which exponentials differ between processors.
    values = [math.exp(-(h**2) / _SIGMA_SQUARED) for h in range(MATCH_DISTANCE + 1)]
    return np.array([round(value * _WEIGHT_ONE) / _WEIGHT_ONE for value in values])
