from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from vision_assets.steps.features import features_table
from vision_assets.steps.visual_index import index_features, index_table, indexed_of
from vision_assets.tables.verification import summarize
from vision_assets.vision.features.extraction import ImageFeatures
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.retrieval.indexed_features import FeatureIndexer
from vision_assets_tests.vision.retrieval.test_indexed_features import images_of
from vision_assets_tests.vision.vocabulary.test_tree import tree_of

Features = Callable[[dict[str, ImageFeatures]], DataFrame]


@pytest.fixture
def features(spark: SparkSession) -> Features:
    def make(images: dict[str, ImageFeatures]) -> DataFrame:
        rows = [
            (
                name,
                "label",
                sha256(name.encode()).digest(),
                image.width or None,
                image.height or None,
                len(image.keypoints),
                image.keypoints.tobytes(),
                image.descriptors.tobytes(),
                None if image.width else "it is broken",
            )
            for name, image in images.items()
        ]
        return spark.createDataFrame(rows, features_table(SiftOptions).schema).repartition(3)

    return make


@pytest.fixture
def images(rng: np.random.Generator) -> dict[str, ImageFeatures]:
    counts = (0, 1, 500, 80, 30, 200)
    found = {f"{name}.jpg": image for name, image in enumerate(images_of(rng, *counts))}
    broken = ImageFeatures(0, 0, np.empty((0, 5), np.float32), np.empty((0, 128), np.uint8))
    return {**found, "broken.jpg": broken}


def test_each_image_has_its_features_in_a_row(
    rng: np.random.Generator, features: Features, images: dict[str, ImageFeatures]
) -> None:
    indexer = FeatureIndexer(tree_of(rng, 8, 2), max_features=100)
    rows = index_features(features(images), indexer).to_frame().toArrow().sort_by("fileName")
    assert rows["fileName"].to_pylist() == sorted(images)
    stored = [each for batch in rows.to_batches() for each in indexed_of(batch)]
    for name, found in zip(sorted(images), stored, strict=True):
        expected = indexer.index([images[name]])[0]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    counts = dict(zip(rows["fileName"].to_pylist(), rows["featureCount"].to_pylist(), strict=True))
    assert [counts[name] for name in ("0.jpg", "1.jpg", "2.jpg", "broken.jpg")] == [0, 1, 100, 0]


def test_the_table_is_sound(
    rng: np.random.Generator, features: Features, images: dict[str, ImageFeatures]
) -> None:
    indexer = FeatureIndexer(tree_of(rng, 8, 2))
    rows = index_features(features(images), indexer).to_frame()
    summary = summarize(index_table(), rows, None, {}, None)
    assert all(summary.check_results.values())
    assert summary.counts == {
        "images": 7,
        "features": 811,
        "images_without_features": 2,
        "failures": 1,
    }
