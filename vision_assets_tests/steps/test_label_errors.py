import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.steps.label_errors import N_FOLDS, Copy, assign_folds, find_copies, find_suspects
from vision_assets.steps.splits import SplitOptions, split_images
from vision_assets.vision.classification.linear import TrainingOptions
from vision_assets_tests.steps.test_classifier import Images

Row = tuple[str, str, bytes]


def label_of(name: str) -> str:
    return name.partition("/")[0]


def row(name: str, content: str | None = None) -> Row:
    """File name, label and digest of an image; the content is the name if none is given."""
    return name, label_of(name), hashlib.sha256((content or name).encode()).digest()


def table(spark: SparkSession, rows: list[Row], partitions: int = 1) -> DataFrame:
    return spark.createDataFrame(rows, "fileName string, label string, digest binary").repartition(partitions)


ROWS = [
    *(row(f"many/{index:02}") for index in range(23)),
    *(row(f"few/{index}") for index in range(2)),
    *(row(f"copied/{index}", f"content {index // 2}") for index in range(12)),
    row("single/0"),
    row("all the same/0", "same"),
    row("all the same/1", "same"),
    row("many/doubtful", "two labels"),
    row("few/doubtful", "two labels"),
]
LEFT_OUT = {"single/0", "all the same/0", "all the same/1", "many/doubtful", "few/doubtful"}


@pytest.fixture(scope="module")
def folds(spark: SparkSession) -> pd.DataFrame:
    return assign_folds(table(spark, ROWS), seed=3).toPandas().set_index("fileName")


def test_every_image_that_can_be_judged_has_a_fold(folds: pd.DataFrame) -> None:
    assert sorted(folds.index) == sorted({name for name, *_ in ROWS} - LEFT_OUT)
    assert set(folds["fold"]) == set(range(N_FOLDS))


def test_classes_are_divided_evenly(folds: pd.DataFrame) -> None:
    sizes = {label: Counter(part["fold"]) for label, part in folds.groupby("label")}
    assert sorted(sizes["many"].values()) == [4, 4, 5, 5, 5]
    assert sorted(sizes["few"].values()) == [1, 1]
    assert sorted(sizes["copied"].values()) == [2, 2, 2, 2, 4]


def test_copies_are_in_one_fold(folds: pd.DataFrame) -> None:
    for index in range(0, 12, 2):
        assert folds["fold"][f"copied/{index}"] == folds["fold"][f"copied/{index + 1}"]


def test_folds_depend_on_the_seed_and_not_on_the_order(spark: SparkSession, folds: pd.DataFrame) -> None:
    again = assign_folds(table(spark, ROWS[::-1], 5), seed=3).toPandas().set_index("fileName")
    pd.testing.assert_frame_equal(again.loc[folds.index], folds)
    other = assign_folds(table(spark, ROWS), seed=4).toPandas().set_index("fileName")
    assert not other["fold"].loc[folds.index].equals(folds["fold"])


WRONG = {3: "owls", 19: "cats", 40: "cats"}
"""Index of an image, and the label that it gets; images of `Images` are cats, dogs and owls in turn."""


def test_planted_label_errors_are_found_first(spark: SparkSession) -> None:
    images = Images()
    rows = [(name, WRONG.get(i, label_of(name)), name.encode()) for i, name in enumerate(images.names)]
    progress: list[int] = []
    options = TrainingOptions(max_iter=5)
    judged, found = find_suspects(images.encodings(spark), table(spark, rows), 0, options, progress.append)
    assert judged == 60
    assert progress == list(range(N_FOLDS + 1))
    assert {suspect.file_name for suspect in found[:3]} == {images.names[index] for index in WRONG}
    for suspect in found[:3]:
        true, index = label_of(suspect.file_name), images.names.index(suspect.file_name)
        assert (suspect.label, suspect.suggested) == (WRONG[index], true)
        assert suspect.margin == suspect.suggested_probability - suspect.label_probability > 0.5
    margins = [suspect.margin for suspect in found]
    assert margins == sorted(margins, reverse=True)


def test_two_labels_are_needed(spark: SparkSession) -> None:
    rows = [row("many/0"), row("many/1"), row("single/0")]
    encodings = spark.createDataFrame(
        [(name, [1.0]) for name, *_ in rows], "fileName string, vector array<float>"
    )
    with pytest.raises(UserError, match="1 labels have two different images or more"):
        find_suspects(encodings, table(spark, rows), 0, TrainingOptions())


def test_copies_are_grouped_by_their_bytes(spark: SparkSession) -> None:
    names = [f"class {number}/{index}" for number in range(2) for index in range(4)]
    rows = [row(name) for name in names]
    rows += [row("class 0/copy", "class 0/1"), row("class 1/other label", "class 0/2")]
    images = table(spark, rows)
    options = SplitOptions(train_per_class=3, splits=3)
    subsets = split_images(images, options)
    found = find_copies(images, subsets)
    sides = subsets.toPandas()
    left_out = set(sides["fileName"][sides["subset"] == "duplicate"])
    assert left_out
    expected = [["class 0/1", "class 0/copy"], ["class 0/2", "class 1/other label"]]
    expected = [group for group in expected if left_out & set(group) or "class 0/2" in group]
    assert found == [[Copy(name, label_of(name), name in left_out) for name in group] for group in expected]


def test_without_copies_there_are_none(spark: SparkSession) -> None:
    images = table(spark, [row(f"{label}/{index}") for label in "ab" for index in range(3)])
    assert find_copies(images, split_images(images, SplitOptions(splits=1))) == []


def test_the_labels_of_copies_are_named_in_order(spark: SparkSession) -> None:
    rows = [row(name, "same") for name in ("b/1", "a/2", "b/0")]
    (group,) = find_copies(table(spark, rows), split_images(table(spark, rows), SplitOptions(splits=1)))
    assert [copy.file_name for copy in group] == ["a/2", "b/0", "b/1"]
    assert np.unique([copy.label for copy in group]).tolist() == ["a", "b"]
