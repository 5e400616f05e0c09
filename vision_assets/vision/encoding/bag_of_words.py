"""The bag of visual words: descriptors of an image are pooled per word to one vector."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.encoding.base import Encoding, FeatureBatch
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.assignment import Vocabulary, squared_distances

Pooling = Literal["sum", "max", "count"]
Normalization = Literal["none", "l1", "l2", "hellinger"]


@dataclass(frozen=True)
class BagOfWords(Encoding):
    """Bag of visual words: one value per word, pooled over the descriptors of the word.

    Parameters
    ----------
    pooling : {"sum", "max", "count"}
        What is pooled per word: the sum or maximum of the Euclidean distances of descriptors to the centre,
        or the number of descriptors (the histogram).
    normalization : {"none", "l1", "l2", "hellinger"}
        See `normalize`.

    Raises
    ------
    ValueError
        If `pooling` or `normalization` is unknown.

    Examples
    --------
    Four descriptors of one image and two words:

    >>> import numpy as np
    >>> from vision_assets.vision.encoding.base import FeatureBatch
    >>> from vision_assets.vision.vocabulary.assignment import Vocabulary, assign
    >>> vocabulary = Vocabulary(np.array([[0.0, 0.0], [200.0, 0.0]]))
    >>> descriptors = np.array([[0, 0], [3, 4], [200, 9], [6, 8]], np.uint8)
    >>> words = assign(descriptors, vocabulary)
    >>> batch = FeatureBatch(descriptors, counts=np.array([4]))
    >>> BagOfWords(pooling="count").encode(batch, words, vocabulary)
    array([[3., 1.]], dtype=float32)
    >>> BagOfWords(pooling="sum").encode(batch, words, vocabulary)
    array([[15.,  9.]], dtype=float32)
    """

    column: ClassVar = "bow"
    column_comment: ClassVar = "one value per visual word, in the order of wordId"

    pooling: Pooling = option(
        "sum",
        "What is pooled per word: the `sum` or `max` of the distances of its descriptors to its centre, or "
        "their `count`, the ordinary histogram.",
    )
    normalization: Normalization = option(
        "none",
        "Normalisation of each vector: `l1` (to sum 1), `l2` (to length 1), `hellinger` (square root after "
        "`l1`) or `none`.",
    )

    def length(self, vocabulary: Vocabulary) -> int:
        """Return the number of words."""
        return len(vocabulary)

    def encode(
        self, batch: FeatureBatch, words: NDArray[np.int64], vocabulary: Vocabulary
    ) -> NDArray[np.float32]:
        """Encode a batch of images.

        Parameters
        ----------
        batch : FeatureBatch
            M images with N descriptors in all; positions are not used.
        words : ndarray of shape (N,), dtype int64
            The word of each descriptor.
        vocabulary : Vocabulary
            k words.

        Returns
        -------
        ndarray of shape (M, k), dtype float32
            A row depends on its image and the vocabulary alone. An image without descriptors has a row of
            zeros.

        Raises
        ------
        ValueError
            If the counts do not add up to the number of descriptors.
        """
        k = len(vocabulary)
        cells = batch.image_indices() * k + words
        pooled = np.zeros(len(batch.counts) * k, np.float64)
        if self.pooling == "count":
            pooled += np.bincount(cells, minlength=len(pooled))
        else:
            distances = np.sqrt(squared_distances(batch.descriptors, vocabulary, words))
            if self.pooling == "sum":
                pooled += np.bincount(cells, weights=distances, minlength=len(pooled))
            else:
                np.maximum.at(pooled, cells, distances)
        return normalize(pooled.reshape(len(batch.counts), k), self.normalization).astype(np.float32)


def normalize(vectors: NDArray[np.float64], normalization: Normalization) -> NDArray[np.float64]:
    """Normalise each vector.

    Parameters
    ----------
    vectors : ndarray of shape (M, k), dtype float64
        Non-negative values.
    normalization : {"none", "l1", "l2", "hellinger"}
        `l1` scales to the sum 1, `l2` to the length 1; `hellinger` takes the square root after `l1`.

    Returns
    -------
    ndarray of shape (M, k), dtype float64
        Zero vectors stay zero.

    Examples
    --------
    >>> import numpy as np
    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]), "l2")
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if normalization == "none":
        return vectors
    norms = np.sqrt(np.square(vectors).sum(axis=1)) if normalization == "l2" else vectors.sum(axis=1)
    scaled = vectors / np.where(norms > 0, norms, 1)[:, None]
    return np.sqrt(scaled) if normalization == "hellinger" else scaled
