"""The features of an image as a visual index stores them: word, signature and quantised keypoint."""

from decimal import Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features.extraction import ImageFeatures
from vision_assets.vision.features.keypoints import strongest
from vision_assets.vision.retrieval.root_sift import root_sift
from vision_assets.vision.retrieval.signatures import SignatureEncoder
from vision_assets.vision.vocabulary.tree import VocabularyTree

POSITION_STEPS = 2**16
SCALES_PER_OCTAVE = 16
ANGLES = 2**8
_SCALES = 2**8

KEYPOINT_DTYPE = np.dtype([("x", "<u2"), ("y", "<u2"), ("scale", "u1"), ("angle", "u1")])
"""A quantised keypoint, 6 bytes.

``x`` and ``y`` are in 65,536ths of the width and the height of the image, from its left and upper edge.
``scale`` is 16 times the binary logarithm of the size in pixels, ``angle`` is in 256ths of a turn, clockwise.
"""


class IndexedFeatures(NamedTuple):
    """The features of an image, in ascending order of their words.

    Attributes
    ----------
    width, height : int
        Size of the image in pixels; 0 if it could not be read.
    words : ndarray of shape (N,), dtype int32
    signatures : ndarray of shape (N,), dtype uint64
    keypoints : ndarray of shape (N,), dtype KEYPOINT_DTYPE
    """

    width: int
    height: int
    words: NDArray[np.int32]
    signatures: NDArray[np.uint64]
    keypoints: NDArray[np.void]


class FeatureIndexer:
    """Turns the SIFT features of images into what a visual index stores.

    Parameters
    ----------
    tree : VocabularyTree
        Of RootSIFT descriptors.
    max_features : int
        How many features of an image are indexed, the strongest ones; 0 for all.
    """

    def __init__(self, tree: VocabularyTree, max_features: int = 0) -> None:
        self.tree = tree
        self.max_features = max_features
        self._signatures = SignatureEncoder(tree)

    def index(self, images: list[ImageFeatures]) -> list[IndexedFeatures]:
        """Index images; the result for one does not depend on the others.

        Parameters
        ----------
        images : list of ImageFeatures

        Returns
        -------
        list of IndexedFeatures
        """
        if not images:
            return []
        kept = [strongest((image.keypoints, image.descriptors), self.max_features) for image in images]
        descriptors = root_sift(np.concatenate([descriptors for _, descriptors in kept]))
        words = self.tree.assign(descriptors)
        signatures = self._signatures.encode(descriptors, words)
        indexed, start = [], 0
        for image, (keypoints, _) in zip(images, kept, strict=True):
            rows = slice(start, start := start + len(keypoints))
            order = np.argsort(words[rows], kind="stable")
            indexed.append(
                IndexedFeatures(
                    image.width,
                    image.height,
                    words[rows][order],
                    signatures[rows][order],
                    quantize_keypoints(keypoints[order], image.width, image.height),
                )
            )
        return indexed


def quantize_keypoints(keypoints: NDArray[np.float32], width: int, height: int) -> NDArray[np.void]:
    """Quantise keypoints.

    Parameters
    ----------
    keypoints : ndarray of shape (N, 5), dtype float32
        x, y and size in pixels, angle in degrees, response.
    width, height : int
        Size of the image in pixels.

    Returns
    -------
    ndarray of shape (N,), dtype KEYPOINT_DTYPE
        The error is at most 1/131,072 of the side for the position, 2.2 % for the size, 0.7 degrees for the
        angle.
    """
    quantized = np.empty(len(keypoints), KEYPOINT_DTYPE)
    x, y, size, angle = keypoints[:, :4].T.astype(np.float64)
    for name, values, side in (("x", x, width), ("y", y, height)):
        # The centre of a pixel has integer coordinates, so the image begins at -0.5.
        steps = np.floor((values + 0.5) * (POSITION_STEPS / max(1, side)))
        quantized[name] = np.clip(steps, 0, POSITION_STEPS - 1)
    quantized["scale"] = np.searchsorted(_scale_edges(), size, side="right")
    quantized["angle"] = np.rint(angle * (ANGLES / 360)).astype(np.int64) % ANGLES
    return quantized


@cache
def _scale_edges() -> NDArray[np.float64]:
    """Sizes between two scales. Decimals, because logarithms differ in their last bit between processors."""
    steps = (Decimal(2 * scale - 1) / (2 * SCALES_PER_OCTAVE) for scale in range(1, _SCALES))
    return np.array([float(Decimal(2) ** step) for step in steps])
