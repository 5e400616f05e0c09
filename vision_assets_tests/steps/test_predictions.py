import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.steps import classifier as classification
from vision_assets.steps.classifier import train_classifier
from vision_assets.steps.predictions import predict
from vision_assets.steps.report import confusion_matrices, surest_wrong
from vision_assets.vision.classification.linear import Classifier, TrainingOptions, classifier_to_npz
from vision_assets_tests.steps.test_classifier import LABELS, WORDS, Images


@pytest.fixture(scope="module")
def trained(spark: SparkSession) -> Classifier:
    images = Images()
    return train_classifier(
        images.encodings(spark), images.subsets(spark), LABELS, 2, TrainingOptions(max_iter=10)
    )


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
    assert list(found.columns) == ["fileName", "label", "split", "predicted", "score", "margin", "correct"]
    assert len(found) == 2 * len(images.names)
    labels = np.array(LABELS)
    data = classifier_to_npz(trained)
    for split, part in found.groupby("split"):
        rows = [index[name] for name in part["fileName"]]
        assert sorted(rows) == list(range(len(images.names)))
        np.testing.assert_array_equal(part["label"], labels[images.targets[rows]])
        plain = by_hand(data, images.bow[rows], int(str(split)))
        np.testing.assert_array_equal(part["predicted"], labels[plain.argmax(axis=1)])
        np.testing.assert_array_equal(part["correct"], plain.argmax(axis=1) == images.targets[rows])
        np.testing.assert_allclose(part["score"], plain.max(axis=1), rtol=1e-4)
        exact = np.sort(trained.probabilities(images.bow[rows], int(str(split))), axis=1)
        np.testing.assert_array_equal(part["score"], exact[:, -1])
        np.testing.assert_array_equal(part["margin"], exact[:, -1] - exact[:, -2])


def test_partitions_do_not_change_a_prediction(spark: SparkSession, trained: Classifier) -> None:
    images = Images()
    first, second = (
        predictions(
            predict(images.encodings(spark, partitions, shuffled=True), images.subsets(spark), trained)
        )
        for partitions in (1, 5)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_images_of_unknown_labels_are_predicted_and_never_correct(
    spark: SparkSession, trained: Classifier
) -> None:
    images = Images()
    fewer = Classifier(LABELS[1:], trained.weights[:, 1:], trained.intercepts[:, 1:], trained.feature_map)
    table = predict(images.encodings(spark), images.subsets(spark, 1), fewer)
    found = predictions(table)
    assert set(found["fileName"]) == set(images.names)
    assert set(found["predicted"]) == set(LABELS[1:])
    unknown = found["label"] == "cats"
    assert unknown.sum() == 20
    assert not found["correct"][unknown].any()
    assert found["correct"][~unknown].all()
    assert confusion_matrices(table, 1, LABELS[1:]).sum() == 40, "the report leaves them out"
    assert surest_wrong(table, LABELS[1:], 10) == []


@pytest.fixture
def table_of(spark: SparkSession) -> Callable[[list[tuple]], DataFrame]:
    schema = "fileName string, label string, split int, predicted string, score double, correct boolean"

    def make(rows: list[tuple]) -> DataFrame:
        return spark.createDataFrame([(*row, row[1] == row[3]) for row in rows], schema)

    return make


def test_confusions_count_the_predictions(table_of: Callable[[list[tuple]], DataFrame]) -> None:
    table = table_of(
        [
            ("a", "cats", 0, "cats", 0.9),
            ("b", "cats", 0, "cats", 0.9),
            ("c", "cats", 0, "owls", 0.9),
            ("d", "owls", 1, "dogs", 0.9),
            ("e", "owls", 1, "dogs", 0.9),
            ("f", "bats", 1, "dogs", 0.9),
        ]
    )
    expected = np.zeros((3, 3, 3), int)
    expected[0, 0, 0], expected[0, 0, 2], expected[1, 2, 1] = 2, 1, 2
    np.testing.assert_array_equal(confusion_matrices(table, 3, LABELS), expected)
    none = confusion_matrices(table.where("false"), 1, LABELS)
    np.testing.assert_array_equal(none, np.zeros((1, 3, 3), int))


def test_the_surest_wrong_images_are_named_once(table_of: Callable[[list[tuple]], DataFrame]) -> None:
    table = table_of(
        [
            ("right", "cats", 0, "cats", 1.0),
            ("unknown", "bats", 0, "cats", 1.0),
            ("b", "cats", 0, "dogs", 0.7),
            ("a", "cats", 1, "dogs", 0.7),
            ("twice", "dogs", 0, "cats", 0.5),
            ("twice", "dogs", 1, "owls", 0.8),
            ("least", "owls", 1, "dogs", 0.4),
        ]
    )
    found = surest_wrong(table, LABELS, 3)
    assert [tuple(row) for row in found] == [
        ("twice", "dogs", "owls", 0.8),
        ("a", "cats", "dogs", 0.7),
        ("b", "cats", "dogs", 0.7),
    ]
