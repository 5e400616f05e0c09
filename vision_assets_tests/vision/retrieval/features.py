"""Features of images that are made up, for tests of search."""

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.indexed_features import (
    KEYPOINT_DTYPE,
    IndexedFeatures,
    quantize_keypoints,
)


def some_features(rng: np.random.Generator, count: int, words: int = 20) -> IndexedFeatures:
    """Features of few words and similar signatures, so that all kinds of matches are common."""
    near = np.array([0, 1, 2**20 - 1, 2**14 - 1, 2**63, 2**64 - 1], np.uint64)
    keypoints = np.zeros(count, KEYPOINT_DTYPE)
    for name in KEYPOINT_DTYPE.names or ():
        kind = KEYPOINT_DTYPE[name]
        keypoints[name] = rng.integers(0, np.iinfo(kind).max + 1, count)
    return IndexedFeatures(
        640,
        480,
        np.sort(rng.integers(0, words, count)).astype(np.int32),
        rng.choice(near, count) ^ (np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64)),
        keypoints,
    )


def view_of(
    points: NDArray[np.float64],
    transform: NDArray[np.float64],
    signatures: NDArray[np.uint64],
    width: int = 4000,
    height: int = 3000,
) -> IndexedFeatures:
    """One feature per word, at points that a similarity has mapped: shape (N, 4), x, y, size, angle."""
    factor = np.hypot(*transform[:, 0])
    turn = np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))
    mapped = np.zeros((len(points), 5), np.float32)
    mapped[:, :2] = points[:, :2] @ transform[:, :2].T + transform[:, 2]
    mapped[:, 2] = points[:, 2] * factor
    mapped[:, 3] = (points[:, 3] + turn) % 360
    words = np.arange(len(points), dtype=np.int32)
    return IndexedFeatures(width, height, words, signatures, quantize_keypoints(mapped, width, height))
