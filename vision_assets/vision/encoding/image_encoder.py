"""From an image to its encoding, the same way in Spark's workers and outside of Spark."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.encoding.base import Encoding, FeatureBatch
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.extraction import ImageExtractor, ImageFeatures
from vision_assets.vision.io.loading import Image, load_gray
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign
from vision_assets.vision.vocabulary.fixed_point import Descriptors

Assign: TypeAlias = Callable[[Descriptors, Vocabulary], NDArray[np.int64]]
"""From descriptors of shape (N, d) and a vocabulary to the word of each: shape (N,), dtype int64."""


class ImageEncoder:
    """Encodes images: extracts features, assigns each to a visual word, and encodes the words.

    It can be pickled if its parts can: the extractor itself, which cannot, is built at first use and left out
    of the pickle.

    Parameters
    ----------
    extractor : ExtractorOptions
        Which extractor, and how to extract.
    vocabulary : Vocabulary
        The visual words, trained on descriptors of this extractor.
    encoding : Encoding
        Which encoding, and how to encode.
    assign : callable
        From descriptors and a vocabulary to words. The default is exact; a function at the top level of a
        module can be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from vision_assets.vision.encoding.bag_of_words import BagOfWords
    >>> from vision_assets.vision.features.sift import SiftOptions
    >>> from vision_assets.vision.vocabulary.assignment import Vocabulary
    >>> vocabulary = Vocabulary(np.array([[0.0] * 128, [255.0] * 128]))
    >>> encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords("count", normalization="l1"))
    >>> pixels = np.zeros((60, 80), np.uint8)
    >>> pixels[20:40, 30:50] = 255
    >>> encoder.encode(pixels)
    array([1., 0.], dtype=float32)
    >>> encoder.encode_features(encoder.extract(pixels))
    array([1., 0.], dtype=float32)
    """

    def __init__(
        self,
        extractor: ExtractorOptions,
        vocabulary: Vocabulary,
        encoding: Encoding,
        assign: Assign = assign,
    ) -> None:
        self.extractor = extractor
        self.vocabulary = vocabulary
        self.encoding = encoding
        self.assign = assign

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_image_extractor"}

    @cached_property
    def _image_extractor(self) -> ImageExtractor:
        return ImageExtractor(self.extractor)

    @property
    def length(self) -> int:
        """Length of an encoding."""
        return self.encoding.length(self.vocabulary)

    def encode(self, image: Image) -> NDArray[np.float32]:
        """Encode an image.

        Parameters
        ----------
        image : str, path, bytes or ndarray
            Path of an image file, content of an image file, or pixels: shape (height, width) or
            (height, width, 1, 3 or 4), dtype uint8, colours in OpenCV's order BGR(A).

        Returns
        -------
        ndarray of shape (length,), dtype float32

        Raises
        ------
        ImageError
            If the image cannot be decoded, is too large, or the extractor fails on it.
        OSError
            If the file cannot be read.
        UserError
            If the extractor needs a library that is not installed, or finds what its options do not describe.
        ValueError
            If the descriptors do not fit the vocabulary, or a path contains a null character.
        """
        return self.encode_features(self.extract(image))

    def extract(self, image: Image) -> ImageFeatures:
        """Extract the features of an image.

        Parameters
        ----------
        image : str, path, bytes or ndarray
            As `encode` takes it.

        Returns
        -------
        ImageFeatures
            Positions and sizes are in pixels of the decoded image before any shrinking.

        Raises
        ------
        ImageError, OSError, UserError, ValueError
            As `encode` raises them.
        """
        gray = load_gray(image, max_pixels=self.extractor.max_pixels, value_range=self.extractor.value_range)
        return self._image_extractor.extract_gray(gray)

    def encode_features(self, features: ImageFeatures) -> NDArray[np.float32]:
        """Encode the features of an image.

        Parameters
        ----------
        features : ImageFeatures
            From `extract`.

        Returns
        -------
        ndarray of shape (length,), dtype float32

        Raises
        ------
        ValueError
            If the descriptors do not fit the vocabulary.
        """
        batch = FeatureBatch(
            features.descriptors,
            np.array([len(features.descriptors)]),
            features.keypoints,
            np.array([[features.width, features.height]], np.int32),
        )
        return self.encode_batch(batch)[0]

    def encode_batch(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """Encode the features of several images.

        Parameters
        ----------
        batch : FeatureBatch
            The features of M images; with keypoints and sizes if the encoding uses positions.

        Returns
        -------
        ndarray of shape (M, length), dtype float32
            Each row is the same to the bit as that of the image alone.

        Raises
        ------
        ValueError
            If the descriptors do not fit the vocabulary, or the parts of the batch do not fit together.
        """
        words = self.assign(batch.descriptors, self.vocabulary)
        return self.encoding.encode(batch, words, self.vocabulary)
