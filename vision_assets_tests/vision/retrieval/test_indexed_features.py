import math

import numpy as np
import pytest

from vision_assets.vision.features.extraction import ImageFeatures
from vision_assets.vision.retrieval.indexed_features import FeatureIndexer, quantize_keypoints
from vision_assets.vision.retrieval.root_sift import root_sift
from vision_assets.vision.retrieval.signatures import SignatureEncoder
from vision_assets_tests.vision.vocabulary.test_tree import tree_of


def keypoints_of(rng: np.random.Generator, count: int, width: int, height: int) -> np.ndarray:
    keypoints = rng.random((count, 5)).astype(np.float32)
    keypoints *= np.array([width, height, 100, 360, 1], np.float32)
    keypoints[:, :2] -= 0.5
    keypoints[:, 2] += 1.5
    return keypoints


@pytest.mark.parametrize(("width", "height"), [(1, 1), (300, 200), (60000, 5)])
def test_keypoints_are_rounded_to_the_nearest_step(rng: np.random.Generator, width: int, height: int) -> None:
    keypoints = keypoints_of(rng, 2000, width, height)
    quantized = quantize_keypoints(keypoints, width, height)
    x, y, size, angle, _ = keypoints.T.astype(np.float64)
    for name, values, side in (("x", x, width), ("y", y, height)):
        decoded = (quantized[name] + 0.5) / 2**16 * side - 0.5
        assert np.abs(decoded - values).max() <= side / 2**17 * 1.01 + 1e-6
    assert np.abs(quantized["scale"] / 16 - np.log2(size)).max() <= 1 / 32 + 1e-6
    turns = quantized["angle"] / 256 - angle / 360
    assert np.abs(turns - np.rint(turns)).max() <= 1 / 512 + 1e-6


def test_extreme_keypoints_stay_within_the_steps() -> None:
    keypoints = np.array([[-9, 1e6, 1e-6, 360, 0], [1e6, -9, 1e6, 0, 0]], np.float32)
    quantized = quantize_keypoints(keypoints, 100, 50)
    assert quantized.tolist() == [(0, 65535, 0, 0), (65535, 0, 255, 0)]


def images_of(rng: np.random.Generator, *counts: int) -> list[ImageFeatures]:
    return [
        ImageFeatures(
            320,
            240,
            keypoints_of(rng, count, 320, 240),
            rng.integers(0, 256, (count, 128), dtype=np.uint8),
        )
        for count in counts
    ]


def test_features_are_in_the_order_of_their_words(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 4, 2)
    image = images_of(rng, 200)[0]
    indexed = FeatureIndexer(tree).index([image])[0]
    roots = root_sift(image.descriptors)
    words = tree.assign(roots)
    order = sorted(range(200), key=lambda row: (words[row], row))
    assert indexed.words.tolist() == words[order].tolist()
    signatures = SignatureEncoder(tree).encode(roots, words)
    assert indexed.signatures.tolist() == signatures[order].tolist()
    expected = quantize_keypoints(image.keypoints[order], 320, 240)
    np.testing.assert_array_equal(indexed.keypoints, expected)
    assert (indexed.width, indexed.height) == (320, 240)


def test_an_image_is_indexed_as_if_it_were_alone(rng: np.random.Generator) -> None:
    indexer = FeatureIndexer(tree_of(rng, 4, 2), max_features=100)
    images = images_of(rng, 150, 0, 30)
    together = indexer.index(images)
    for one, image in zip(together, images, strict=True):
        alone = indexer.index([image])[0]
        for a, b in zip(one, alone, strict=True):
            np.testing.assert_array_equal(a, b)
    assert [len(each.words) for each in together] == [100, 0, 30]
    assert indexer.index([]) == []


def test_the_strongest_features_are_indexed(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 4, 2)
    image = images_of(rng, 50)[0]
    strong = np.sort(np.argsort(-image.keypoints[:, 4])[:10])
    kept = ImageFeatures(320, 240, image.keypoints[strong], image.descriptors[strong])
    few = FeatureIndexer(tree, max_features=10).index([image])[0]
    for a, b in zip(few, FeatureIndexer(tree).index([kept])[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_scales_are_those_of_an_octave() -> None:
    keypoints = np.array([[0, 0, 2 ** (step / 16), 0, 0] for step in range(160)], np.float32)
    assert quantize_keypoints(keypoints, 10, 10)["scale"].tolist() == list(range(160))
    assert math.log2(float(keypoints[-1, 2])) == pytest.approx(159 / 16)
