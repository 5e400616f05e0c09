"""A NumPy loop of one matrix product per image in a pool of processes, everything in memory beforehand."""

import time
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from benchmarks import stored

_CHUNK = 16

_images: list[NDArray[np.uint8]] = []
_centers: NDArray[np.float32]
_half_norms: NDArray[np.float32]
_kept: list[NDArray[np.float32]] = []


def encode(descriptors: NDArray[np.uint8], centers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of the descriptors' distances to their nearest centre, per centre."""
    return _encode(descriptors, centers, _half_square_norms(centers))


def _half_square_norms(centers: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("ij,ij->i", centers, centers) / 2


def _encode(
    descriptors: NDArray[np.uint8], centers: NDArray[np.float32], half_norms: NDArray[np.float32]
) -> NDArray[np.float32]:
    x = descriptors.astype(np.float32)
    words = (half_norms - x @ centers.T).argmin(axis=1)
    difference = x - centers[words]
    distances = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return np.bincount(words, weights=distances, minlength=len(centers)).astype(np.float32)


def _encode_one(number: int) -> int:
    _kept.append(_encode(_images[number], _centers, _half_norms))
    return len(_images[number])


def measure(features: str, dictionary: str, processes: int) -> dict[str, float]:
    global _images, _centers, _half_norms  # noqa: PLW0603 - what a pool's processes have in memory from the start
    _images = [matrix for _, matrix in stored.images(features)]
    _centers = stored.centers(dictionary)
    _half_norms = _half_square_norms(_centers)
    started = time.monotonic()
    with get_context("fork").Pool(processes) as pool:
        descriptors = sum(pool.imap_unordered(_encode_one, range(len(_images)), _CHUNK))
        seconds = time.monotonic() - started
        # Leaving the block would end the processes by a signal that the user's shell may have them ignore.
        pool.close()
        pool.join()
    return {"seconds": seconds, "descriptors": descriptors}
