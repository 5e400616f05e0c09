import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.steps import classifier as classifier_step
from vision_assets.steps.classifier import TrainingOptions, train_classifier, with_vectors
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


@pytest.mark.parametrize("feature_map", ["none", "hellinger"])
def test_more_than_a_task_takes_is_trained_to_the_same_optimum(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, feature_map: FeatureMap
) -> None:
    images = Images()
    options = TrainingOptions(feature_map, reg_param=0.01, max_iter=200)

    def train() -> Classifier:
        return train_classifier(images.encodings(spark), images.subsets(spark, 1), LABELS, 1, options)

    in_one_task = train()
    monkeypatch.setattr(classifier_step, "_PARTITION_BYTES", 2**12)
    sparse = train()
    np.testing.assert_allclose(sparse.weights, in_one_task.weights, atol=1e-6)
    np.testing.assert_allclose(sparse.intercepts, in_one_task.intercepts, atol=1e-6)
    monkeypatch.setattr(classifier_step, "_SPARSE_VALUES", 500)
    in_several = train()
    np.testing.assert_allclose(in_several.weights, in_one_task.weights, atol=2e-3)
    np.testing.assert_allclose(in_several.intercepts, in_one_task.intercepts, atol=2e-3)


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


@pytest.mark.parametrize(("most", "join"), [(119, "SortMergeJoin"), (120, "BroadcastHashJoin")])
def test_vectors_stay_where_they_are_unless_there_are_millions_of_images(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, most: int, join: str
) -> None:
    images = Images()
    subsets = images.subsets(spark)
    monkeypatch.setattr(classifier_step, "_BROADCAST_ROWS", most)
    joined = with_vectors(subsets, images.encodings(spark))
    plan = joined._jdf.queryExecution().executedPlan().toString()
    assert join in plan
    assert sorted(joined.columns) == ["fileName", "label", "split", "subset", "vector"]
    assert joined.count() == subsets.count() == 120
