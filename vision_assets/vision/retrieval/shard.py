"""A part of a visual index, laid out for search: the features of many images in the order of their words."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.indexed_features import KEYPOINT_DTYPE, IndexedFeatures

MAX_IMAGES = 2**16


class Shard(NamedTuple):
    """The features of up to 65,536 images, an inverted file: those of word w are ``offsets[w:w + 2]``.

    The arrays may be mapped from files: a query reads only what its own words have.

    Attributes
    ----------
    offsets : ndarray of shape (words + 1,), dtype uint32
    images : ndarray of shape (N,), dtype uint16
        Number of the image that a feature belongs to, ascending for each word.
    signatures : ndarray of shape (N,), dtype uint64
    keypoints : ndarray of shape (N,), dtype KEYPOINT_DTYPE
    sizes : ndarray of shape (M, 2), dtype int32
        Width and height of each image in pixels.
    """

    offsets: NDArray[np.uint32]
    images: NDArray[np.uint16]
    signatures: NDArray[np.uint64]
    keypoints: NDArray[np.void]
    sizes: NDArray[np.int32]


def build_shard(images: Sequence[IndexedFeatures], words: int) -> Shard:
    """Build a shard.

    Parameters
    ----------
    images : sequence of IndexedFeatures
        At most 65,536, which are numbered in this order.
    words : int
        Number of words of the vocabulary.

    Returns
    -------
    Shard

    Raises
    ------
    ValueError
        If there are too many images.
    """
    if len(images) > MAX_IMAGES:
        raise ValueError(f"{len(images):,} images: a shard has at most {MAX_IMAGES:,}")
    of_words = np.concatenate([image.words for image in images] or [np.empty(0, np.int32)])
    numbers = np.repeat(np.arange(len(images), dtype=np.uint16), [len(image.words) for image in images])
    # Stable: features of a word stay in the order of the images, and of an image in their own.
    order = np.argsort(of_words, kind="stable")
    signatures = np.concatenate([image.signatures for image in images] or [np.empty(0, np.uint64)])
    keypoints = np.concatenate([image.keypoints for image in images] or [np.empty(0, KEYPOINT_DTYPE)])
    return Shard(
        offsets=np.append(0, np.cumsum(np.bincount(of_words, minlength=words))).astype(np.uint32),
        images=numbers[order],
        signatures=signatures[order],
        keypoints=keypoints[order],
        sizes=np.array([[image.width, image.height] for image in images], np.int32).reshape(-1, 2),
    )
