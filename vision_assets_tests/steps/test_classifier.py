import io
import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.steps import classifier as classification
from vision_assets.steps.classifier import TrainingOptions, predict, train_classifier
from vision_assets.steps.report import confusion_matrices
from vision_assets.vision.classification.linear import Classifier, classifier_to_npz
from vision_assets.vision.encoding.kernel_maps import FeatureMap

LABELS = ("cats", "dogs", "owls")
WORDS = 30


class Images:
    """Encodings of three classes, each of which prefers words of its own.

    Odd images are tested and the others trained on; in the second of two splits it is the other way round.
    """

    def __init__(self, scale: float = 1, per_class: int = 20) -> None:
        rng = np.random.default_rng(5)
        profile = rng.random((3, WORDS)) + np.repeat(np.eye(3), WORDS // 3, axis=1)
        self.targets = np.tile(np.arange(3), per_class)
        self.bow = (rng.poisson(profile[self.targets] * 8) * scale).astype(np.float32)
        self.names = [f"{LABELS[target]}/{index:03}.jpg" for index, target in enumerate(self.targets)]
        self.order = rng.permutation(len(self.names))

    def encodings(self, spark: SparkSession, partitions: int = 2, *, shuffled: bool = False) -> DataFrame:
        order = self.order if shuffled else range(len(self.names))
        rows = [(self.names[index], self.bow[index].tolist()) for index in order]
        # Slices of the rows: `repartition` would bring an order of its own.
        parts = spark.sparkContext.parallelize(rows, partitions)
        return spark.createDataFrame(parts, "fileName string, vector array<float>")

    def subsets(self, spark: SparkSession, splits: int = 2, *, shuffled: bool = False) -> DataFrame:
        order = self.order[::-1] if shuffled else range(len(self.names))
        rows = [
            (split, self.names[i], LABELS[self.targets[i]], "test" if (i + split) % 2 else "train")
            for split in range(splits)
            for i in order
        ]
        return spark.createDataFrame(rows, "split int, fileName string, label string, subset string")

    def rows(self, split: int, side: str) -> NDArray[np.int64]:
        return np.flatnonzero((np.arange(len(self.names)) + split) % 2 == (side == "test"))

    def accuracy(self, classifier: Classifier, split: int = 0) -> float:
        tested = self.rows(split, "test")
        predicted = classifier.probabilities(self.bow[tested], split).argmax(axis=1)
        return float(np.mean(predicted == self.targets[tested]))


@pytest.fixture(scope="module")
def trained(spark: SparkSession) -> Classifier:
    images = Images()
    return train_classifier(
        images.encodings(spark), images.subsets(spark), LABELS, 2, TrainingOptions(max_iter=10)
    )


def test_separable_classes_are_learnt(trained: Classifier) -> None:
    images = Images()
    assert trained.labels == LABELS
    assert trained.feature_map == "hellinger"
    assert (trained.weights.shape, trained.weights.dtype) == ((2, 3, WORDS), np.float32)
    assert (trained.intercepts.shape, trained.intercepts.dtype) == ((2, 3), np.float64)
    for split in range(2):
        assert images.accuracy(trained, split) == 1
        # The words of a class speak for it.
        speakers = trained.weights[split].reshape(3, 3, -1).mean(axis=2)
        np.testing.assert_array_equal(speakers.argmax(axis=1), range(3))
    assert not np.array_equal(trained.weights[0], trained.weights[1])


@pytest.mark.parametrize("partitions", [1, 7])
def test_neither_order_nor_partitions_change_a_bit(
    spark: SparkSession, trained: Classifier, partitions: int
) -> None:
    images = Images()
    again = train_classifier(
        images.encodings(spark, partitions, shuffled=True),
        images.subsets(spark, shuffled=True).repartition(partitions),
        LABELS,
        2,
        TrainingOptions(max_iter=10),
    )
    assert classifier_to_npz(again) == classifier_to_npz(trained)


def test_the_training_finds_the_least_loss(spark: SparkSession) -> None:
    """At the optimum the gradient is zero: of the mean log loss plus the penalty, by Spark's formula."""
    images, penalty = Images(), 0.01
    options = TrainingOptions("hellinger", reg_param=penalty, max_iter=200)
    found = train_classifier(images.encodings(spark), images.subsets(spark, 1), LABELS, 1, options)
    rows = images.rows(0, "train")
    shares = images.bow[rows] / images.bow[rows].sum(axis=1, keepdims=True)
    excess = found.probabilities(images.bow[rows]) - np.eye(3)[images.targets[rows]]
    gradient = excess.T @ np.sqrt(shares) / len(rows) + penalty * found.weights[0]
    at_zero = (1 / 3 - np.eye(3)[images.targets[rows]]).T @ np.sqrt(shares) / len(rows)
    assert np.abs(gradient).max() < 0.01 * np.abs(at_zero).max()
    np.testing.assert_allclose(excess.mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize("feature_map", ["none", "chi2"])
def test_large_values_are_learnt_as_well_as_small_ones(spark: SparkSession, feature_map: FeatureMap) -> None:
    scale = 2.0**13
    small, large = Images(), Images(scale)
    assert 1e5 < large.bow.max() < 1e6
    options = TrainingOptions(feature_map, max_iter=10)
    classifiers = [
        train_classifier(images.encodings(spark), images.subsets(spark, 1), LABELS, 1, options)
        for images in (small, large)
    ]
    assert small.accuracy(classifiers[0]) == large.accuracy(classifiers[1]) >= 0.9
    # A power of two changes no bit of the features, so the models are the same.
    by = scale if feature_map == "none" else 1
    np.testing.assert_array_equal(classifiers[1].weights * np.float32(by), classifiers[0].weights)
    np.testing.assert_array_equal(classifiers[1].intercepts, classifiers[0].intercepts)


def test_images_of_unknown_labels_are_not_trained_on(spark: SparkSession) -> None:
    images = Images()
    encodings, subsets = images.encodings(spark), images.subsets(spark, 1)
    options = TrainingOptions(max_iter=5)
    some = train_classifier(encodings, subsets, LABELS[:2], 1, options)
    without = train_classifier(encodings, subsets.where("label <> 'owls'"), LABELS[:2], 1, options)
    assert some.weights.shape == (1, 2, WORDS)
    assert classifier_to_npz(some) == classifier_to_npz(without)


def test_a_line_is_logged_after_each_split(spark: SparkSession) -> None:
    images = Images()
    lines: list[str] = []
    options = TrainingOptions(max_iter=1)
    train_classifier(images.encodings(spark), images.subsets(spark), LABELS, 2, options, lines.append)
    assert [line.split(":")[0] for line in lines] == ["split 1 of 2", "split 2 of 2"]


def by_hand(data: bytes, bow: NDArray[np.float32], split: int) -> NDArray[np.float64]:
    """Probabilities from the arrays of the file alone, in plain float64."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        assert str(stored["featureMap"]) == "hellinger"
        features = np.sqrt(bow.astype(float) / np.maximum(bow.sum(axis=1, keepdims=True), 1e-30))
        scores = features @ stored["weights"][split].T.astype(float) + stored["intercepts"][split]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def predictions(table: DataFrame) -> pd.DataFrame:
    return table.toPandas().sort_values(["split", "fileName"]).reset_index(drop=True)


@pytest.mark.parametrize("values", [WORDS, 2**22], ids=["image by image", "entire batches"])
def test_predictions_are_those_of_numpy_alone(
    spark: SparkSession, trained: Classifier, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, "_FEATURE_VALUES", values)
    images = Images()
    images.bow[4] = 0
    index = {name: i for i, name in enumerate(images.names)}
    found = predictions(predict(images.encodings(spark), images.subsets(spark), trained))
    assert list(found.columns) == ["fileName", "split", "target", "predicted", "probability"]
    assert len(found) == 2 * len(images.names)
    data = classifier_to_npz(trained)
    for split, part in found.groupby("split"):
        rows = [index[name] for name in part["fileName"]]
        assert sorted(rows) == list(range(len(images.names)))
        np.testing.assert_array_equal(part["target"], images.targets[rows])
        plain = by_hand(data, images.bow[rows], int(str(split)))
        np.testing.assert_array_equal(part["predicted"], plain.argmax(axis=1))
        np.testing.assert_allclose(part["probability"], plain.max(axis=1), rtol=1e-4)
        exact = trained.probabilities(images.bow[rows], int(str(split)))
        np.testing.assert_array_equal(part["probability"], exact.max(axis=1))
    assert math.isfinite(found["probability"].sum())


def test_partitions_do_not_change_a_prediction(spark: SparkSession, trained: Classifier) -> None:
    images = Images()
    first, second = (
        predictions(
            predict(images.encodings(spark, partitions, shuffled=True), images.subsets(spark), trained)
        )
        for partitions in (1, 5)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_images_of_unknown_labels_are_not_predicted(spark: SparkSession, trained: Classifier) -> None:
    images = Images()
    fewer = Classifier(LABELS[1:], trained.weights[:, 1:], trained.intercepts[:, 1:], trained.feature_map)
    found = predictions(predict(images.encodings(spark), images.subsets(spark, 1), fewer))
    assert set(found["fileName"]) == {name for name in images.names if not name.startswith("cats")}
    assert set(found["target"]) == {0, 1}
    assert {name.split("/")[0] for name in found["fileName"][found["target"] == 0]} == {"dogs"}


def test_confusions_count_the_predictions(spark: SparkSession) -> None:
    rows = [(0, 0, 0), (0, 0, 0), (0, 0, 2), (1, 2, 1), (1, 2, 1)]
    table = spark.createDataFrame(rows, "split int, target int, predicted int")
    expected = np.zeros((3, 3, 3), int)
    expected[0, 0, 0], expected[0, 0, 2], expected[1, 2, 1] = 2, 1, 2
    np.testing.assert_array_equal(confusion_matrices(table, 3, 3), expected)
