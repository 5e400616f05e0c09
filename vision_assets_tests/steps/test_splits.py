import hashlib
from collections import Counter

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from vision_assets.steps.splits import (
    SplitOptions,
    count_parts,
    count_subsets,
    labelled_images,
    split_images,
    unknown_labels,
    usable_images,
)

SCHEMA = "fileName string, label string, digest binary, error string"

Row = tuple[str, str | None, bytes, str | None]


def row(name: str, content: str | None = None, error: str | None = None) -> Row:
    """A row of the features; the content is the name, so that no two images are alike, if none is given."""
    digest = hashlib.sha256((content or name).encode()).digest()
    return name, name.split("/")[-2] if "/" in name else None, digest, error


def of_class(label: str, count: int, folder: str = "") -> list[Row]:
    return [row(f"{folder}{label}/{index:03}.jpg") for index in range(count)]


def features(spark: SparkSession, rows: list[Row], partitions: int = 1) -> DataFrame:
    """Images labelled by their folders."""
    return labelled_images(spark.createDataFrame(rows, SCHEMA).repartition(partitions), None)


def sides_of(
    spark: SparkSession, rows: list[Row], options: SplitOptions, partitions: int = 1
) -> pd.DataFrame:
    """Split, and return the table in order."""
    table = split_images(usable_images(features(spark, rows, partitions), options), options).toPandas()
    return table.sort_values(["split", "fileName"]).reset_index(drop=True)


def sizes(subsets: pd.DataFrame, split: int = 0) -> dict[str, dict[str, int]]:
    """Label to side to number of images."""
    chosen = subsets[subsets["split"] == split]
    return {str(label): dict(Counter(part["subset"])) for label, part in chosen.groupby("label")}


def names(subsets: pd.DataFrame, side: str, split: int = 0, label: str | None = None) -> set[str]:
    chosen = subsets[(subsets["subset"] == side) & (subsets["split"] == split)]
    return set(chosen["fileName"] if label is None else chosen["fileName"][chosen["label"] == label])


MANY = [
    *of_class("many", 40),
    *of_class("enough", 12),
    *of_class("as many as trained on", 10),
    *of_class("few", 7),
    *of_class("pair", 2),
    *of_class("single", 1),
]
OPTIONS = SplitOptions(train_per_class=10, test_per_class=5, splits=3)


@pytest.fixture(scope="module")
def many(spark: SparkSession) -> pd.DataFrame:
    return sides_of(spark, MANY, OPTIONS)


def test_every_image_stands_once_in_every_split(many: pd.DataFrame) -> None:
    expected = {name: label for name, label, *_ in MANY}
    assert list(many.columns) == ["split", "fileName", "label", "subset"]
    assert set(many["split"]) == {0, 1, 2}
    for _, part in many.groupby("split"):
        assert dict(zip(part["fileName"], part["label"], strict=True)) == expected
        assert len(part) == len(expected)


@pytest.mark.parametrize("split", range(3))
def test_sizes_of_the_sides(many: pd.DataFrame, split: int) -> None:
    assert sizes(many, split) == {
        "many": {"train": 10, "test": 5, "unused": 25},
        "enough": {"train": 10, "test": 2},
        # No more than are trained on: two thirds of them, so that some are left to test on.
        "as many as trained on": {"train": 6, "test": 4},
        "few": {"train": 4, "test": 3},
        "pair": {"train": 1, "test": 1},
        "single": {"unused": 1},
    }


def test_no_limit_of_the_test_images(spark: SparkSession) -> None:
    options = SplitOptions(train_per_class=10, test_per_class=None, splits=1)
    found = sizes(sides_of(spark, MANY, options))
    assert found["many"] == {"train": 10, "test": 30}
    assert found["single"] == {"unused": 1}


def test_splits_differ_and_so_do_seeds(spark: SparkSession, many: pd.DataFrame) -> None:
    first = [names(many, "train", split, "many") for split in range(3)]
    assert len(set(map(frozenset, first))) == 3
    other = sides_of(spark, MANY, SplitOptions(train_per_class=10, test_per_class=5, splits=2, seed=1))
    assert not {frozenset(names(other, "train", split, "many")) for split in range(2)} & set(
        map(frozenset, first)
    )
    assert sizes(other) == sizes(many)


def test_fewer_splits_are_the_first_of_more(spark: SparkSession, many: pd.DataFrame) -> None:
    one = sides_of(spark, MANY, SplitOptions(train_per_class=10, test_per_class=5, splits=1))
    pd.testing.assert_frame_equal(one, many[many["split"] == 0])


def test_the_images_trained_on_are_a_fair_draw(many: pd.DataFrame) -> None:
    """Not the first by name, nor the same places in each class."""
    places = [
        sorted(name[-7:] for name in names(many, "train", 0, label) if name[-7:] < "012")
        for label in ("many", "enough")
    ]
    assert places[0] != places[1]
    assert names(many, "train", 0, "many") != {f"many/{index:03}.jpg" for index in range(10)}


@pytest.mark.parametrize("partitions", [3, 7])
def test_neither_order_nor_partitions_matter(
    spark: SparkSession, many: pd.DataFrame, partitions: int
) -> None:
    shuffled = [MANY[(index * 29 + partitions) % len(MANY)] for index in range(len(MANY))]
    assert sorted(shuffled) == sorted(MANY)
    pd.testing.assert_frame_equal(sides_of(spark, shuffled, OPTIONS, partitions), many)


def test_images_of_another_class_change_nothing(spark: SparkSession, many: pd.DataFrame) -> None:
    more = [*of_class("a new class", 30), *MANY, *of_class("zebra", 3)]
    found = sides_of(spark, more, OPTIONS)
    kept = found[found["label"].isin(set(many["label"]))].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, many)
    fewer = sides_of(spark, of_class("many", 40), OPTIONS)
    pd.testing.assert_frame_equal(fewer, many[many["label"] == "many"].reset_index(drop=True))


def test_images_without_label_or_with_an_error_take_no_part(spark: SparkSession) -> None:
    rows = [
        *of_class("cats", 6),
        *of_class("dogs", 6),
        *of_class("clutter", 5),
        row("flat.jpg"),
        row("broken flat.jpg", error="no image"),
        row("cats/broken.jpg", error="no image"),
        row("clutter/broken.jpg", error="no image"),
    ]
    options = SplitOptions(exclude_labels=("clutter", "no such label"), splits=1)
    usable = usable_images(features(spark, rows), options)
    assert usable.columns == ["fileName", "label", "digest", "given"]
    expected = {name for name, *_ in of_class("cats", 6) + of_class("dogs", 6)}
    assert {found.fileName for found in usable.collect()} == expected
    assert set(sides_of(spark, rows, options)["fileName"]) == expected
    assert count_parts(features(spark, rows), options) == {
        "usable_images": 12,
        "images_with_an_error": 3,
        "images_without_label": 1,
        "excluded_images": 5,
    }
    assert unknown_labels(features(spark, rows), ["clutter", "no such label"]) == ["no such label"]
    assert count_parts(features(spark, rows), SplitOptions()) == {
        "usable_images": 17,
        "images_with_an_error": 3,
        "images_without_label": 1,
        "excluded_images": 0,
    }


def test_counts_of_nothing(spark: SparkSession) -> None:
    found = count_parts(features(spark, []), SplitOptions())
    assert set(found.values()) == {0}
    assert sides_of(spark, [], SplitOptions()).empty


def test_count_sides_counts_the_rows(spark: SparkSession, many: pd.DataFrame) -> None:
    counts = count_subsets(split_images(usable_images(features(spark, MANY), OPTIONS), OPTIONS))
    assert counts == Counter(zip(many["split"], many["label"], many["subset"], strict=True))


COPIES = [
    # Eight contents, each in three files, within a class.
    *[row(f"triplets/{index:02} {copy}.jpg", f"t{index}") for index in range(8) for copy in "abc"],
    # The same ten contents in two classes; the one has others besides.
    *[row(f"left/{index:02}.jpg", f"shared {index}") for index in range(10)],
    *[row(f"right/{index:02}.jpg", f"shared {index}") for index in range(10)],
    *[row(f"right/own {index:02}.jpg") for index in range(10)],
    *of_class("plain", 20),
    # All images alike: what is not trained on is a copy.
    *[row(f"same/{index}.jpg", "same") for index in range(5)],
]


@pytest.mark.parametrize("test_per_class", [None, 4])
def test_identical_images_are_never_on_both_sides(spark: SparkSession, test_per_class: int | None) -> None:
    options = SplitOptions(train_per_class=9, test_per_class=test_per_class, splits=10)
    subsets = sides_of(spark, COPIES, options)
    digest = {name: content for name, _, content, _ in COPIES}
    for split in range(10):
        content = {
            side: {digest[name] for name in names(subsets, side, split)}
            for side in ("train", "test", "duplicate")
        }
        assert content["train"]
        assert content["test"]
        assert not content["train"] & content["test"]
        assert content["duplicate"] <= content["train"], "nothing else is left out as a copy"
        found = sizes(subsets, split)
        assert found["same"] == {"train": 3, "duplicate": 2}
        assert found["triplets"]["train"] == 9
        assert (
            found["plain"] == {"train": 9, "test": 11}
            if test_per_class is None
            else {
                "train": 9,
                "test": 4,
                "unused": 7,
            }
        )
    across = subsets[(subsets["subset"] == "duplicate") & subsets["label"].isin(["left", "right"])]
    assert len(across), "copies are found across classes"


def test_copies_of_a_class_are_put_in_order_together(spark: SparkSession) -> None:
    """Nine images to train on are three contents; the other five are tested."""
    subsets = sides_of(spark, COPIES, SplitOptions(train_per_class=9, test_per_class=None, splits=5))
    digest = {name: content for name, _, content, _ in COPIES}
    for split in range(5):
        assert len({digest[name] for name in names(subsets, "train", split, "triplets")}) == 3
        assert sizes(subsets, split)["triplets"] == {"train": 9, "test": 15}


def test_copies_do_not_count_as_images_to_test_on(spark: SparkSession) -> None:
    """The limit of the test images is reached although some of the images are copies."""
    rows = [
        *of_class("cats", 10),
        *[row(f"cats/copy {index}.jpg", f"cats/{index:03}.jpg") for index in range(10)],
    ]
    subsets = sides_of(spark, rows, SplitOptions(train_per_class=5, test_per_class=6, splits=5))
    for split in range(5):
        found = sizes(subsets, split)["cats"]
        assert (found["train"], found["test"]) == (5, 6)
        assert found["duplicate"] == 1, "five images are two pairs and one half of a pair"


FOLDERS = [
    *of_class("cats", 4, "train/"),
    *of_class("dogs", 3, "train/"),
    *of_class("cats", 2, "test/"),
    *of_class("dogs", 60, "test/"),
    *of_class("only tested", 1, "test/"),
    *of_class("only one", 1, "train/"),
    *of_class("cats", 2, "other/"),
    *of_class("cats", 2, "other/train/"),
    *of_class("cats", 2),
    *of_class("deep", 2, "train/animals/"),
    row("train/direct.jpg"),
    row("test/direct.jpg"),
    row("train/dogs/twin.jpg", "twin"),
    row("test/dogs/twin.jpg", "twin"),
    row("test/cats/twin of a dog.jpg", "twin"),
]


def test_the_folders_say_the_side(spark: SparkSession) -> None:
    # Neither numbers nor the seed have a meaning here.
    options = SplitOptions(split="folder", train_per_class=1, test_per_class=1, splits=3)
    subsets = sides_of(spark, FOLDERS, options)
    assert options.n_splits == 1
    assert set(subsets["split"]) == {0}
    assert len(subsets) == len(FOLDERS)
    expected = {
        **{name: "train" for name, *_ in FOLDERS if name.startswith("train/")},
        **{name: "test" for name, *_ in FOLDERS if name.startswith("test/")},
        "train/direct.jpg": "unused",
        "test/direct.jpg": "unused",
        "test/dogs/twin.jpg": "duplicate",
        "test/cats/twin of a dog.jpg": "duplicate",
    }
    found = dict(zip(subsets["fileName"], subsets["subset"], strict=True))
    assert found == {name: expected.get(name, "unused") for name, *_ in FOLDERS}
    assert sizes(subsets)["deep"] == {"train": 2}
    assert sizes(subsets)["only one"] == {"train": 1}


def test_folders_of_excluded_labels(spark: SparkSession) -> None:
    options = SplitOptions(split="folder", exclude_labels=("dogs", "train", "test"))
    subsets = sides_of(spark, FOLDERS, options)
    assert set(subsets["label"]) == {"cats", "only tested", "only one", "deep"}
    # Its twin among the dogs takes no part now.
    assert names(subsets, "test") >= {"test/cats/twin of a dog.jpg"}


def test_two_folders_are_split_the_same_for_any_partitions(spark: SparkSession) -> None:
    options = SplitOptions(split="folder")
    pd.testing.assert_frame_equal(
        sides_of(spark, FOLDERS[::-1], options, partitions=5), sides_of(spark, FOLDERS, options)
    )


def test_labels_from_elsewhere(spark: SparkSession) -> None:
    """With their own splits, which only `split: labels` uses; the folders `train` and `test` may be flat."""
    rows = [
        row("train/0.jpg"),
        row("train/1.jpg", "twin"),
        row("train/2.jpg"),
        row("test/0.jpg", "twin"),
        row("test/1.jpg"),
        row("test/2.jpg", error="no image"),
        row("other/0.jpg"),
    ]
    said = {
        "train/0.jpg": ("cats", "test"),
        "train/1.jpg": ("dogs", "train"),
        "train/2.jpg": (None, "train"),
        "test/0.jpg": ("cats", "test"),
        "test/1.jpg": ("dogs", "train"),
        "test/2.jpg": ("dogs", "train"),
        "other/0.jpg": ("cats", None),
        "not there.jpg": ("cats", "train"),
    }
    labels = spark.createDataFrame(
        [(name, *both) for name, both in said.items()], "fileName string, label string, split string"
    )
    images = labelled_images(spark.createDataFrame(rows, SCHEMA), labels)
    assert count_parts(images, SplitOptions()) == {
        "usable_images": 5,
        "images_with_an_error": 1,
        "images_without_label": 1,
        "excluded_images": 0,
    }

    def subsets(split: str) -> dict[str, tuple[str, str]]:
        options = SplitOptions.from_config({"split": split, "splits": 3})
        found = split_images(usable_images(images, options), options).collect()
        assert {each.split for each in found} == {0}
        return {each.fileName: (each.label, each.subset) for each in found}

    assert subsets("labels") == {
        "train/0.jpg": ("cats", "test"),
        "train/1.jpg": ("dogs", "train"),
        "test/0.jpg": ("cats", "duplicate"),
        "test/1.jpg": ("dogs", "train"),
        "other/0.jpg": ("cats", "unused"),
    }
    assert subsets("folder") == {
        "train/0.jpg": ("cats", "train"),
        "train/1.jpg": ("dogs", "train"),
        "test/0.jpg": ("cats", "duplicate"),
        "test/1.jpg": ("dogs", "test"),
        "other/0.jpg": ("cats", "unused"),
    }
