"""What every encoding has in common: a batch of images in, one vector per image out."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.options import Options
from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets.vision.vocabulary.fixed_point import Descriptors


class FeatureBatch(NamedTuple):
    """Features of M images, one image after the other.

    Attributes
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
        The descriptors of all images.
    counts : ndarray of shape (M,), dtype int
        Number of descriptors of each image; their sum is N.
    keypoints : ndarray of shape (N, 5), dtype float32, optional
        x, y, size, angle and response of each descriptor, in pixels of the decoded image before any
        shrinking: `vision_assets.vision.features.extraction.ImageFeatures` defines them. None if positions
        were not read.
    sizes : ndarray of shape (M, 2), dtype int32, optional
        Width and height of each decoded image in pixels. None if positions were not read.
    """

    descriptors: Descriptors
    counts: NDArray[np.integer]
    keypoints: NDArray[np.float32] | None = None
    sizes: NDArray[np.int32] | None = None

    def image_indices(self) -> NDArray[np.intp]:
        """Return the index of the image that each descriptor belongs to.

        Returns
        -------
        ndarray of shape (N,), dtype intp
            Rising indices in 0..M-1.

        Raises
        ------
        ValueError
            If `counts` do not add up to the number of descriptors.

        Examples
        --------
        >>> import numpy as np
        >>> FeatureBatch(np.zeros((3, 128), np.uint8), np.array([1, 0, 2])).image_indices()
        array([0, 2, 2])
        """
        if self.counts.sum() != len(self.descriptors):
            raise ValueError(
                f"counts add up to {self.counts.sum()}, but there are {len(self.descriptors)} descriptors"
            )
        return np.repeat(np.arange(len(self.counts)), self.counts)


class Encoding(Options, ABC):
    """An encoding and its options: the base of one frozen dataclass per encoding.

    Attributes
    ----------
    column : str
        Column of the stored table that has the vectors.
    column_comment : str
        What a vector contains, for users.
    uses_positions : bool
        Whether `encode` needs keypoints and sizes. If not, they need not be read.
    """

    column: ClassVar[str] = "encoding"
    column_comment: ClassVar[str] = "the encoding of the image"
    uses_positions: ClassVar[bool] = False

    @abstractmethod
    def length(self, vocabulary: Vocabulary) -> int:
        """Return the length of a vector.

        Parameters
        ----------
        vocabulary : Vocabulary
            The words; some encodings depend on the length of a descriptor, too.

        Returns
        -------
        int
        """

    @abstractmethod
    def encode(
        self, batch: FeatureBatch, words: NDArray[np.int64], vocabulary: Vocabulary
    ) -> NDArray[np.float32]:
        """Encode a batch of images.

        Parameters
        ----------
        batch : FeatureBatch
            Features of M images with N descriptors in all.
        words : ndarray of shape (N,), dtype int64
            The visual word of each descriptor, as `vision_assets.vision.vocabulary.assignment.assign` or
            another assignment gives it.
        vocabulary : Vocabulary
            The words.

        Returns
        -------
        ndarray of shape (M, length), dtype float32
            A row must depend on its own image and the vocabulary alone, not on the other images of the
            batch.

        Raises
        ------
        ValueError
            If the parts of the batch do not fit together.
        """
