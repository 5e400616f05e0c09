"""Changes of view that matched keypoints agree with, for many pairs of images at once."""

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.indexed_features import ANGLES, SCALES_PER_OCTAVE
from vision_assets.vision.retrieval.ranges import join_ranges

_SCALE_STEPS = math.floor(SCALES_PER_OCTAVE * math.log2(1.5))
_ANGLE_STEPS = math.floor(ANGLES * 20 / 360)
_COMPARED = 2**20  # matches with a proposal, in memory at once
_FEWEST_FOR_AFFINITY = 6
_LEAST_SPREAD = 1e-3  # of the points around their mean: the smaller axis of their ellipse to the larger one


class Correspondences(NamedTuple):
    """Keypoints of queries and what they match in other images, sorted by image.

    Attributes
    ----------
    images : ndarray of shape (N,), dtype int64
        Number of the image, ascending.
    sources, targets : ndarray of shape (N, 2), dtype float64
        x and y of the two keypoints, in pixels of the query and of the image.
    scales : ndarray of shape (N,), dtype int64
        How many steps the image's keypoint is larger, 16 for an octave.
    angles : ndarray of shape (N,), dtype uint8
        How many 256ths of a turn it is turned, clockwise.
    diagonals : ndarray of shape (images,), dtype float64
        Diagonal of each image in pixels.
    """

    images: NDArray[np.int64]
    sources: NDArray[np.float64]
    targets: NDArray[np.float64]
    scales: NDArray[np.int64]
    angles: NDArray[np.uint8]
    diagonals: NDArray[np.float64]


def similarities(pairs: Correspondences, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the similarities that some correspondences propose.

    Parameters
    ----------
    pairs : Correspondences
    index : ndarray of shape (K,), dtype int64
        Which correspondences.

    Returns
    -------
    ndarray of shape (K, 2, 3), dtype float64
        Each maps the keypoint of the query to the one of the image: its position, size and angle.
    """
    factors = _factors()[pairs.scales[index] + len(_factors()) // 2]
    cosines, sines = factors * _cosines()[pairs.angles[index]], factors * _sines()[pairs.angles[index]]
    (x, y), (u, v) = pairs.sources[index].T, pairs.targets[index].T
    transforms = np.empty((len(index), 2, 3))
    transforms[:, 0, 0], transforms[:, 0, 1], transforms[:, 0, 2] = (
        cosines,
        -sines,
        u - cosines * x + sines * y,
    )
    transforms[:, 1, 0], transforms[:, 1, 1], transforms[:, 1, 2] = (
        sines,
        cosines,
        v - sines * x - cosines * y,
    )
    return transforms


def are_alike(
    pairs: Correspondences, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which pairs of correspondences differ by at most a factor of 1.5 in size and 20 degrees."""
    scales = np.abs(pairs.scales[first] - pairs.scales[second]) <= _SCALE_STEPS
    angles = (pairs.angles[first] - pairs.angles[second]).view(np.int8)
    return scales & (angles >= -_ANGLE_STEPS) & (angles <= _ANGLE_STEPS)


def residuals(
    pairs: Correspondences, index: NDArray[np.int64], transforms: NDArray[np.float64], of: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how far transforms miss the images' keypoints, as shares of the images' diagonals.

    Parameters
    ----------
    pairs : Correspondences
    index : ndarray of shape (K,), dtype int64
        Which correspondences.
    transforms : ndarray of shape (T, 2, 3), dtype float64
    of : ndarray of shape (K,), dtype int64
        Which transform belongs to each.

    Returns
    -------
    ndarray of shape (K,), dtype float64
    """
    (x, y), (u, v) = pairs.sources[index].T, pairs.targets[index].T
    (a, b, c), (d, e, f) = transforms.transpose(1, 2, 0)
    right, down = a[of] * x + b[of] * y + c[of] - u, d[of] * x + e[of] * y + f[of] - v
    return np.sqrt(right * right + down * down) / pairs.diagonals[pairs.images[index]]


def best_similarities(
    pairs: Correspondences,
    proposals: NDArray[np.int64],
    weights: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.int64]:
    """Find the proposal that most correspondences of an image agree with.

    Parameters
    ----------
    pairs : Correspondences
    proposals : ndarray of shape (P,), dtype int64
        Which correspondences propose similarities, ascending, at least one for each image that has any.
    weights : ndarray of shape (N,), dtype float64
        What each correspondence counts for.
    tolerance : float
        Largest error of one that agrees.

    Returns
    -------
    ndarray of shape (images with correspondences,), dtype int64
        The best proposal of each image, in their order; the first one of equally good ones.
    """
    transforms = similarities(pairs, proposals)
    images = pairs.images[proposals]
    starts, ends = (np.searchsorted(pairs.images, images, side=side) for side in ("left", "right"))
    support = np.zeros(len(proposals))
    for rows in _pieces(ends - starts):
        proposal = np.repeat(np.arange(rows.start, rows.stop), (ends - starts)[rows])
        compared = join_ranges(starts[rows], ends[rows])
        alike = are_alike(pairs, proposals[proposal], compared)
        proposal, compared = proposal[alike], compared[alike]
        agree = residuals(pairs, compared, transforms, proposal) <= tolerance
        support += np.bincount(proposal[agree], weights[compared[agree]], minlength=len(proposals))
    order = np.lexsort((-support, images))
    return proposals[order[np.flatnonzero(np.diff(images, prepend=-1))]]


def fit(
    pairs: Correspondences, inliers: NDArray[np.int64], transforms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit transforms to inliers by least squares.

    Parameters
    ----------
    pairs : Correspondences
    inliers : ndarray of shape (K,), dtype int64
        Which correspondences.
    transforms : ndarray of shape (images, 2, 3), dtype float64
        What to keep for an image with fewer than 2 inliers, or whose inliers are in one point.

    Returns
    -------
    ndarray of shape (images, 2, 3), dtype float64
        An affinity for each image with at least 6 inliers that are not on one line, unless it mirrors. For
        others a similarity.
    """
    images, total = pairs.images[inliers], len(transforms)

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(images, values, minlength=total).astype(np.float64, copy=False)

    counts = np.bincount(images, minlength=total)
    values = (*pairs.sources[inliers].T, *pairs.targets[inliers].T)
    means = [sums(value) / np.maximum(counts, 1) for value in values]
    x, y, u, v = (value - mean[images] for value, mean in zip(values, means, strict=True))
    xx, xy, yy = sums(x * x), sums(x * y), sums(y * y)
    xu, yu, xv, yv = sums(x * u), sums(y * u), sums(x * v), sums(y * v)
    spread, determinant = xx + yy, xx * yy - xy * xy
    has_similarity = (counts > 1) & (spread > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine, sine = (xu + yv) / spread, (xv - yu) / spread
        affine = (
            np.array([xu * yy - yu * xy, yu * xx - xu * xy, xv * yy - yv * xy, yv * xx - xv * xy])
            / determinant
        )
    has_affinity = (counts >= _FEWEST_FOR_AFFINITY) & (determinant > _LEAST_SPREAD * spread * spread)
    has_affinity &= affine[0] * affine[3] - affine[1] * affine[2] > 0
    linear = np.where(has_affinity, affine, [cosine, -sine, sine, cosine])
    fitted = np.empty_like(transforms)
    fitted[:, :, :2] = linear.T.reshape(-1, 2, 2)
    fitted[:, 0, 2] = means[2] - linear[0] * means[0] - linear[1] * means[1]
    fitted[:, 1, 2] = means[3] - linear[2] * means[0] - linear[3] * means[1]
    return np.where(has_similarity[:, None, None], fitted, transforms)


def _pieces(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Cut into slices whose counts add up to at most `_COMPARED`, or that have one count."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _COMPARED, side="right")))
        yield slice(start, stop)
        start = stop


# Sines and powers differ in their last bits between processors; these have fewer bits than that.
@cache
def _cosines() -> NDArray[np.float64]:
    return np.array([_rounded(math.cos(2 * math.pi * step / ANGLES)) for step in range(ANGLES)])


@cache
def _sines() -> NDArray[np.float64]:
    return np.array([_rounded(math.sin(2 * math.pi * step / ANGLES)) for step in range(ANGLES)])


@cache
def _factors() -> NDArray[np.float64]:
    """Return ratios of sizes, the one of step 0 in the middle."""
    return np.array([_rounded(2 ** (step / SCALES_PER_OCTAVE)) for step in range(-256, 257)])


def _rounded(value: float) -> float:
    return round(value * 2**32) / 2**32
