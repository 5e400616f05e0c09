"""Labels of images: from names and from files."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.steps.labels import IMAGE_LABELS, ImageLabels, LabelOptions, count_labels, label_images
from vision_assets.vision.io.labels import label_of

Said = dict[str, tuple[str | None, str | None]]


def images(spark: SparkSession, *names: str) -> DataFrame:
    return spark.createDataFrame([(name,) for name in names], "fileName string")


def said(found: ImageLabels) -> Said:
    """File name to label and split."""
    assert found.rows.columns == IMAGE_LABELS.schema.names
    rows = found.rows.collect()
    by_name = {row.fileName: (row.label, row.split) for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def test_levels_of_folders(spark: SparkSession, rng: np.random.Generator) -> None:
    parts = ["a", "bé", ".", "..", "", "c d", "x.jpg"]
    names = {"/".join(rng.choice(parts, size=rng.integers(1, 7))) for _ in range(400)}
    index = images(spark, *names).withColumnRenamed("fileName", "fileName")
    for level in (1, 2, 4, 0, -1, -2):
        found = label_images(index, LabelOptions(label_level=level))
        assert said(found) == {name: (label_of(name, level), None) for name in names}
        lost = {name for name in names if label_of(name, level) is None}
        assert ("images_at_unusual_depth" in found.names) == (level > 0)
        if level != 1:
            assert found.names["images_without_match"].total == len(lost)
            assert list(found.names["images_without_match"].first) == sorted(lost)[:20]


def test_names_that_look_alike_are_one_label(spark: SparkSession) -> None:
    names = [f"{unicodedata.normalize(form, 'café')}/{form}.jpg" for form in ("NFC", "NFD")]
    found = label_images(images(spark, *names, "C:\\data\\cat\\1.jpg"), LabelOptions())
    assert {label for label, _ in said(found).values()} == {"café", "cat"}


def test_folders_at_an_unusual_depth_are_named(spark: SparkSession) -> None:
    names = ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "dog/others/x/1.jpg", "dog/others/x/2.jpg", "0.jpg"]
    unusual = label_images(images(spark, *names), LabelOptions()).names["images_at_unusual_depth"]
    assert (unusual.total, unusual.first) == (2, ("dog/others/x/1.jpg", "dog/others/x/2.jpg"))


def test_a_pattern(spark: SparkSession) -> None:
    index = images(spark, "cat_1.jpg", "train/dog_2.jpg", "test/cat_3.jpg", "4.jpg")
    options = LabelOptions(label_pattern=r"^(?:(?P<split>[a-z]+)/)?(?P<label>[a-z]+)_")
    found = label_images(index, options)
    assert said(found) == {
        "cat_1.jpg": ("cat", None),
        "train/dog_2.jpg": ("dog", "train"),
        "test/cat_3.jpg": ("cat", "test"),
        "4.jpg": (None, None),
    }
    assert found.names["images_without_match"].first == ("4.jpg",)
    assert count_labels(found.rows, 1) == {"cat": 2}
    with pytest.raises(UserError, match=r"the split 'val' in 'val/cat_5\.jpg'"):
        label_images(images(spark, "val/cat_5.jpg", "cat_1.jpg"), options)
    with pytest.raises(UserError, match="named group label"):
        label_images(index, LabelOptions(label_pattern="cat"))


NAMES = ("cats/a.jpg", "cats/b,1.jpg", "dogs/é.jpg", "dogs/e\u0301 2.jpg", "dogs\\c.jpg", "d.jpg", "e.jpg")
CSV = """\
fileName,label,split
./cats\\a.jpg,"big, black",train
"cats/b,1.jpg",NA,test
dogs/e\u0301.jpg,dog,
dogs/é 2.jpg,dog,train
dogs\\c.jpg,exact,
d.jpg,,
d.jpg,,
nowhere.jpg,dog,
cats/a.jpg,"big, black",train
"""
EXPECTED: Said = {
    "cats/a.jpg": ("big, black", "train"),
    "cats/b,1.jpg": ("NA", "test"),
    "dogs/é.jpg": ("dog", None),
    "dogs/e\u0301 2.jpg": ("dog", "train"),
    "dogs\\c.jpg": ("exact", None),
    "d.jpg": (None, None),
    "e.jpg": (None, None),
}


def test_a_file_behind_hadoop(spark: SparkSession, remote: tuple[Path, str]) -> None:
    folder, uri = remote
    (folder / "labels 1.csv").write_text(CSV)
    found = label_images(images(spark, *NAMES), LabelOptions(labels=f"{uri}/labels 1.csv"))
    assert said(found) == EXPECTED
    assert found.names["unknown_names"][1:] == (1, ("nowhere.jpg",))
    assert found.names["images_without_row"][1:] == (1, ("e.jpg",))
    with pytest.raises(UserError, match=f"{uri}/none.csv does not exist"):
        label_images(images(spark, *NAMES), LabelOptions(labels=f"{uri}/none.csv"))


def test_a_page_has_the_label_of_its_file(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("fileName,label\na.tif,cat\na.tif#3,dog\nb.gif,bird\n")
    names = ("a.tif", "a.tif#2", "a.tif#3", "b.gif", "b.gif#12", "c.tif", "c.tif#2")
    found = label_images(images(spark, *names), LabelOptions(labels=str(file)))
    labels = {name: label for name, (label, _) in said(found).items()}
    assert labels == dict(zip(names, ("cat", "cat", "dog", "bird", "bird", None, None), strict=True))
    assert found.names["images_without_row"].first == ("c.tif", "c.tif#2")


def error_of(spark: SparkSession, options: LabelOptions) -> str:
    with pytest.raises(UserError) as error:
        label_images(images(spark, *NAMES), options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_different_labels_of_one_image_are_named(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(CSV + "cats/a.jpg,dog,train\n./d.jpg,,test\n")
    message = error_of(spark, LabelOptions(labels=str(file)))
    assert str(file) in message
    assert "'cats/a.jpg' is big, black, train (line 2) and dog, train (line 11)" in message
    assert "'d.jpg' is nothing (line 7) and test (line 12)" in message


def test_a_file_of_other_images_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("fileName,label\nimages/cats/a.jpg,cat\n")
    message = error_of(spark, LabelOptions(labels=str(file)))
    assert "'images/cats/a.jpg'" in message
    assert "'cats/a.jpg'" in message


def test_labels_come_from_one_place(spark: SparkSession) -> None:
    message = error_of(spark, LabelOptions(labels="labels.csv", label_level=2))
    assert "labels and label_level are set together" in message
