import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_assets.vision.encoding.bag_of_words import BagOfWords, Pooling
from vision_assets.vision.encoding.base import Encoding, FeatureBatch
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.extraction import ImageExtractor, ImageFeatures
from vision_assets.vision.features.kaze import KazeOptions
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, round_centers
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT, Descriptors
from vision_assets_tests.vision import images

K = 6


@dataclass(frozen=True)
class Quadrants(Encoding):
    """Counts of words in the four quarters of the image, and the mean size of keypoints in pixels."""

    uses_positions: ClassVar = True

    def length(self, vocabulary: Vocabulary) -> int:
        return 4 * len(vocabulary) + 1

    def encode(
        self, batch: FeatureBatch, words: NDArray[np.int64], vocabulary: Vocabulary
    ) -> NDArray[np.float32]:
        assert batch.keypoints is not None
        assert batch.sizes is not None
        image = batch.image_indices()
        right, low = ((batch.keypoints[:, :2] + 0.5) * 2 >= batch.sizes[image]).T
        vectors = np.zeros((len(batch.counts), self.length(vocabulary)), np.float32)
        np.add.at(vectors, (image, (2 * low + right) * len(vocabulary) + words), 1)
        sizes = np.bincount(image, weights=batch.keypoints[:, 2], minlength=len(vectors))
        vectors[:, -1] = sizes / np.maximum(batch.counts, 1)
        return vectors


@pytest.fixture
def vocabulary(rng: np.random.Generator) -> Vocabulary:
    return Vocabulary(round_centers(rng.integers(0, 120, (K, 128))))


def naive_words(descriptors: Descriptors, vocabulary: Vocabulary) -> tuple[list[int], list[float]]:
    words, distances = [], []
    for descriptor in descriptors:
        found = [float(np.linalg.norm(descriptor - center)) for center in vocabulary.centers]
        words.append(int(np.argmin(found)))
        distances.append(min(found))
    return words, distances


@pytest.mark.parametrize("pooling", ["sum", "max", "count"])
def test_the_encoding_is_that_of_opencvs_sift_and_a_loop(vocabulary: Vocabulary, pooling: Pooling) -> None:
    gray = images.textured()
    _, descriptors = cv2.SIFT.create().detectAndCompute(gray, None)
    expected = np.zeros(K)
    for word, distance in zip(*naive_words(descriptors, vocabulary), strict=True):
        expected[word] = {
            "sum": expected[word] + distance,
            "max": max(expected[word], distance),
            "count": expected[word] + 1,
        }[pooling]
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords(pooling))
    encoded = encoder.encode(gray)
    assert (encoded.dtype, encoded.shape) == (np.float32, (encoder.length,))
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)


def test_the_encoding_is_that_of_its_parts_to_the_bit(vocabulary: Vocabulary) -> None:
    data, encoding = images.jpeg(images.colored()), BagOfWords("sum", "l2")
    features = ImageExtractor(SiftOptions(max_side=100)).extract(data)
    batch = FeatureBatch(features.descriptors, np.array([len(features.descriptors)]))
    (expected,) = encoding.encode(batch, assign(features.descriptors, vocabulary), vocabulary)
    encoder = ImageEncoder(SiftOptions(max_side=100), vocabulary, encoding)
    np.testing.assert_array_equal(encoder.encode(data), expected)
    np.testing.assert_array_equal(encoder.encode_features(features), expected)


def test_all_forms_of_an_image_have_the_same_encoding(vocabulary: Vocabulary, tmp_path: Path) -> None:
    gray = images.textured()
    data, file = images.encoded(gray, "PNG"), tmp_path / "image.png"
    file.write_bytes(data)
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords())
    expected = encoder.encode(gray)
    assert expected.any()
    for form in (data, bytearray(data), file, str(file), gray[:, :, None], np.asfortranarray(gray)):
        np.testing.assert_array_equal(encoder.encode(form), expected)
    bgr = images.colored()
    alpha = np.dstack([bgr, np.full(bgr.shape[:2], 9, np.uint8)])
    expected = encoder.encode(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))  # type: ignore[arg-type]
    np.testing.assert_array_equal(encoder.encode(bgr), expected)
    np.testing.assert_array_equal(encoder.encode(alpha), expected)


def test_an_image_without_keypoints_is_encoded(vocabulary: Vocabulary) -> None:
    for encoding in (BagOfWords(), Quadrants()):
        encoder = ImageEncoder(SiftOptions(), vocabulary, encoding)
        np.testing.assert_array_equal(encoder.encode(images.flat()), np.zeros(encoder.length))


@pytest.mark.parametrize("max_side", [None, 90])
def test_positions_and_sizes_reach_the_encoding(vocabulary: Vocabulary, max_side: int | None) -> None:
    options = SiftOptions(max_side=max_side)
    encoder = ImageEncoder(options, vocabulary, Quadrants())
    for gray in (images.textured(120, 160), images.textured(200, 90, seed=1)):
        features = ImageExtractor(options).extract_gray(gray)
        height, width = gray.shape
        assert (features.width, features.height) == (width, height)
        expected = np.zeros(4 * K + 1)
        words, _ = naive_words(features.descriptors, vocabulary)
        for (x, y, size, *_), word in zip(features.keypoints.tolist(), words, strict=True):
            quadrant = (2 if y + 0.5 >= height / 2 else 0) + (1 if x + 0.5 >= width / 2 else 0)
            expected[quadrant * K + word] += 1
            expected[-1] += size / len(words)
        assert (expected[: 4 * K].reshape(4, K).sum(axis=1) > 3).all()
        np.testing.assert_allclose(encoder.encode(gray), expected, rtol=1e-5)


@pytest.mark.parametrize("encoding", [BagOfWords("sum", "hellinger"), Quadrants()])
def test_a_batch_has_the_encodings_of_its_images_to_the_bit(
    vocabulary: Vocabulary, encoding: Encoding
) -> None:
    encoder = ImageEncoder(SiftOptions(), vocabulary, encoding)
    found = [
        encoder.extract(gray) for gray in (images.textured(), images.flat(), images.textured(90, 200, seed=4))
    ]
    together = encoder.encode_batch(batch_of(found))
    assert together.shape == (3, encoder.length)
    np.testing.assert_array_equal(together, [encoder.encode_features(each) for each in found])


def batch_of(found: list[ImageFeatures]) -> FeatureBatch:
    return FeatureBatch(
        np.concatenate([each.descriptors for each in found]),
        np.array([len(each.descriptors) for each in found]),
        np.concatenate([each.keypoints for each in found]),
        np.array([(each.width, each.height) for each in found], np.int32),
    )


def last_word(descriptors: Descriptors, vocabulary: Vocabulary) -> NDArray[np.int64]:
    return np.full(len(descriptors), len(vocabulary) - 1)


def test_another_assignment_can_be_given(vocabulary: Vocabulary) -> None:
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords("count"), assign=last_word)
    again = pickle.loads(pickle.dumps(encoder))
    found = encoder.encode(images.textured())
    assert found[-1] > 50
    assert not found[:-1].any()
    np.testing.assert_array_equal(again.encode(images.textured()), found)


@pytest.mark.parametrize("options", [SiftOptions(max_side=150), KazeOptions(threshold=0.0005)])
def test_it_pickles_before_and_after_its_use(options: Any, rng: np.random.Generator) -> None:
    centers = rng.integers(0, 120, (K, options.length)) / (1 if options.dtype == np.uint8 else 120)
    vocabulary = Vocabulary(round_centers(centers, options.dtype), options.dtype)
    encoder = ImageEncoder(options, vocabulary, BagOfWords())
    fresh = pickle.dumps(encoder)
    expected = encoder.encode(images.textured())
    assert expected.any()
    for pickled in (fresh, pickle.dumps(encoder)):
        np.testing.assert_array_equal(pickle.loads(pickled).encode(images.textured()), expected)


def test_what_cannot_be_encoded_is_an_error(vocabulary: Vocabulary, tmp_path: Path) -> None:
    encoder = ImageEncoder(SiftOptions(max_pixels=1000), vocabulary, BagOfWords())
    with pytest.raises(ImageError, match="exceed max_pixels = 1000"):
        encoder.encode(images.jpeg())
    with pytest.raises(ImageError, match="NoneType is not an image: pass a path, bytes or an array"):
        encoder.encode(None)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        encoder.encode(tmp_path / "missing.jpg")
    with pytest.raises(ValueError, match="null"):
        encoder.encode("a\0b")
    words = Vocabulary(np.zeros((2, 64), np.float64), FIXED_POINT)
    with pytest.raises(ValueError, match="do not fit"):
        ImageEncoder(SiftOptions(), words, BagOfWords()).encode(images.textured())
