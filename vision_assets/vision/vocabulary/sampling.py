"""Pseudo-random choices that depend on the data and a seed, never on how the data is partitioned."""

import hashlib
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.fixed_point import Descriptors

_Key = TypeVar("_Key", np.float64, np.uint64)

_GOLDEN = 0x9E3779B97F4A7C15


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _stream(*parts: object) -> np.uint64:
    name = "\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    return np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little"))


def sample_indices(seed: int, file_name: str, count: int, rate: float) -> NDArray[np.int64]:
    """Choose which descriptors of an image belong to the sample.

    Parameters
    ----------
    seed : int
    file_name : str
    count : int
        Number of descriptors of the image.
    rate : float
        Share to choose, in 0..1; each descriptor is chosen independently with this probability.

    Returns
    -------
    ndarray of shape (M,), dtype int64
        Rising indices in 0..count-1; a function of the arguments alone.
    """
    if rate >= 1:
        return np.arange(count)
    index = np.arange(1, count + 1, dtype=np.uint64)
    numbers = _mix(_stream(seed, file_name) + index * np.uint64(_GOLDEN))
    return np.flatnonzero(numbers < np.uint64(int(rate * 2**64)))


def descriptor_hashes(descriptors: Descriptors, seed: int) -> NDArray[np.uint64]:
    """Hash each descriptor's content, so that an order by it is random yet the same everywhere.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    seed : int

    Returns
    -------
    ndarray of shape (N,), dtype uint64
        Equal descriptors have equal hashes.
    """
    values = np.ascontiguousarray(descriptors).view(np.uint8)
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % 8)))
    lanes = np.ascontiguousarray(padded).view("<u8")
    hashes = np.full(len(descriptors), _stream("descriptor", seed))
    for column in range(lanes.shape[1]):
        hashes = _mix((hashes ^ lanes[:, column]) + np.uint64(_GOLDEN))
    return hashes


def lowest_distinct(
    descriptors: Descriptors, keys: NDArray[_Key], seed: int, count: int
) -> tuple[Descriptors, NDArray[_Key]]:
    """Choose distinct descriptors with the lowest keys, ties broken by their hash.

    Merging the choices of parts and choosing again gives the choice of the whole, in the same order.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    keys : ndarray of shape (N,)
        Equal descriptors must have equal keys.
    seed : int
    count : int
        How many to choose.

    Returns
    -------
    descriptors : ndarray of shape (min(count, distinct), d)
        In rising order of (key, hash).
    keys : ndarray of shape (min(count, distinct),)
    """
    hashes = descriptor_hashes(descriptors, seed)
    _, first = np.unique(hashes, return_index=True)
    chosen = first[np.lexsort((hashes[first], keys[first]))][:count]
    return descriptors[chosen], keys[chosen]
