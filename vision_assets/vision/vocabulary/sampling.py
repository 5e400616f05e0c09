"""Pseudo-random choices that depend on the data and a seed, not on how the data is partitioned."""

import hashlib
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.fixed_point import Descriptors

_Key = TypeVar("_Key", np.float64, np.uint64)

_GOLDEN = 0x9E3779B97F4A7C15


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64.

    Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _stream(*parts: object) -> np.uint64:
    name = "\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    return np.uint64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little"))


def sample_indices(seed: int, file_name: str, count: int, rate: float) -> NDArray[np.int64]:
    """Choose the descriptors of an image that belong to the sample.

    Parameters
    ----------
    seed : int
        Random seed.
    file_name : str
        Name of the image.
    count : int
        Number of descriptors of the image.
    rate : float
        Probability of each descriptor to be chosen, in 0..1. Choices are independent.

    Returns
    -------
    ndarray of shape (M,), dtype int64
        Ascending indices in 0..count-1, which depend on the arguments alone.

    Examples
    --------
    >>> sample_indices(0, "cats/a.jpg", count=10, rate=0.3)
    array([0, 8, 9])
    >>> sample_indices(0, "cats/a.jpg", count=3, rate=1)
    array([0, 1, 2])
    """
    if rate >= 1:
        return np.arange(count)
    numbers = random_numbers(count, seed, file_name)
    return np.flatnonzero(numbers < np.uint64(int(rate * 2**64)))


def random_numbers(count: int, *name: object) -> NDArray[np.uint64]:
    """Return pseudo-random numbers, which are the same in every version of NumPy.

    Parameters
    ----------
    count : int
    *name : object
        Texts and numbers: the name of the sequence.

    Returns
    -------
    ndarray of shape (count,), dtype uint64
    """
    index = np.arange(1, count + 1, dtype=np.uint64)
    return _mix(_stream(*name) + index * np.uint64(_GOLDEN))


def digest_ranges(seed: int, rate: float) -> list[tuple[bytes, bytes | None]]:
    """Choose images by their digests, so that those chosen are neighbours where rows are sorted by digest.

    Parameters
    ----------
    seed : int
        Random seed.
    rate : float
        Share of the images to choose, in 0..1: digests are spread evenly.

    Returns
    -------
    list of (bytes, bytes or None)
        Ranges of digests: the first one that belongs to the range, and the first one that does not; None
        for a range up to the last digest. Two ranges if the range passes the last digest.

    Examples
    --------
    >>> [(first.hex(), last and last.hex()) for first, last in digest_ranges(0, 0.25)]
    [('d49b7a6ca93d3332', None), ('', '149b7a6ca93d3332')]
    >>> digest_ranges(0, 1)
    [(b'', None)]
    """
    if rate >= 1:
        return [(b"", None)]
    first = int(_stream("images", seed))
    last = first + int(rate * 2**64)
    if last < 2**64:
        return [(_prefix(first), _prefix(last))]
    return [(_prefix(first), None), (b"", _prefix(last - 2**64))]


def _prefix(number: int) -> bytes:
    return number.to_bytes(8, "big")


def descriptor_hashes(descriptors: Descriptors, seed: int) -> NDArray[np.uint64]:
    """Hash the values of each descriptor: the order by hash is random, yet the same everywhere.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    seed : int
        Random seed.

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
    """Choose distinct descriptors with the lowest keys; their hash breaks ties.

    The choice from the joined choices of several parts is the choice from all data, in the same order.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    keys : ndarray of shape (N,), dtype float64 or uint64
        Equal descriptors must have equal keys.
    seed : int
        Random seed of the hash.
    count : int
        How many to choose.

    Returns
    -------
    descriptors : ndarray of shape (min(count, distinct), d)
        In ascending order of (key, hash).
    keys : ndarray of shape (min(count, distinct),)
        Their keys.

    Examples
    --------
    >>> import numpy as np
    >>> descriptors = np.array([[7], [3], [7], [5]], np.uint8)
    >>> chosen, keys = lowest_distinct(descriptors, np.array([1.0, 9.0, 1.0, 4.0]), seed=0, count=2)
    >>> chosen.tolist(), keys.tolist()
    ([[7], [5]], [1.0, 4.0])
    """
    hashes = descriptor_hashes(descriptors, seed)
    _, first = np.unique(hashes, return_index=True)
    chosen = first[np.lexsort((hashes[first], keys[first]))][:count]
    return descriptors[chosen], keys[chosen]
