import numpy as np
import pytest

from vision_assets.vision.retrieval.shard import MAX_IMAGES, build_shard
from vision_assets_tests.vision.retrieval.features import some_features


def test_postings_of_a_word_are_its_features_in_the_order_of_images(rng: np.random.Generator) -> None:
    images = [some_features(rng, count) for count in (30, 0, 55)]
    shard = build_shard(images, words=25)
    for word in range(25):
        postings = range(shard.offsets[word], shard.offsets[word + 1])
        expected = [
            (number, image.signatures[row], image.keypoints[row].item())
            for number, image in enumerate(images)
            for row in np.flatnonzero(image.words == word)
        ]
        assert [
            (shard.images[p], shard.signatures[p], shard.keypoints[p].item()) for p in postings
        ] == expected
    assert shard.sizes.tolist() == [[640, 480]] * 3


def test_a_feature_takes_16_bytes(rng: np.random.Generator) -> None:
    shard = build_shard([some_features(rng, 1000)], words=20)
    assert shard.images.nbytes + shard.signatures.nbytes == 10 * 1000
    assert shard.keypoints.nbytes == 6 * 1000


def test_a_shard_may_be_empty() -> None:
    shard = build_shard([], words=3)
    assert shard.offsets.tolist() == [0] * 4
    assert shard.sizes.shape == (0, 2)


def test_too_many_images_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="65,537 images: a shard has at most 65,536"):
        build_shard([some_features(rng, 0)] * (MAX_IMAGES + 1), words=1)
