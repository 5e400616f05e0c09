from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from vision_assets.steps import image_writer
from vision_assets.steps.images import ImageStore
from vision_assets.steps.pictures import sample as gallery
from vision_assets.steps.pictures.sample import ImageSample, evenly_over_labels, evenly_spaced, some_rows
from vision_assets.steps.sources import open_source


def test_spread_takes_evenly_spaced_values() -> None:
    assert evenly_spaced(range(100), 4) == [12, 37, 62, 87]
    assert evenly_spaced(range(3), 5) == [0, 1, 2]
    assert evenly_spaced([], 5) == []
    assert len(set(evenly_spaced(range(1000), 999))) == 999


def test_spread_over_labels_takes_each_label_before_a_second_image_of_any() -> None:
    names = [f"{label}/{number}.jpg" for label in "dacb" for number in range(5)] + ["direct.jpg"]
    assert evenly_over_labels(names, 6) == [
        "direct.jpg",
        "a/0.jpg",
        "a/1.jpg",
        "b/0.jpg",
        "c/0.jpg",
        "d/0.jpg",
    ]
    assert evenly_over_labels(names, 2) == ["a/0.jpg", "c/0.jpg"]
    assert evenly_over_labels([], 6) == []


@pytest.fixture
def stored(tmp_path: Path, spark: SparkSession) -> ImageStore:
    """400 files of 10 kB, so that a SequenceFile of them has some sync marks."""
    source = tmp_path / "source"
    source.mkdir()
    for index in range(400):
        (source / f"{index:03}.jpg").write_bytes(index.to_bytes(2, "big") * 5000)
    uri = f"file://{tmp_path}/stored"
    with open_source(spark, str(source)) as images:
        image_writer.write(spark, images, uri)
    return ImageStore(spark, uri)


def test_a_small_gallery_has_all_images(stored: ImageStore) -> None:
    images = ImageSample(stored.spark, stored.uri)
    assert sorted(images.names) == [f"{index:03}.jpg" for index in range(400)]
    assert images.compute(["007.jpg", "399.jpg", "none.jpg"], lambda _, data: data) == {
        name: int(name[:3]).to_bytes(2, "big") * 5000 for name in ("007.jpg", "399.jpg")
    }


def test_a_large_gallery_has_evenly_spaced_pieces_alone(
    stored: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "_PIECE_BYTES", 200_000)
    monkeypatch.setattr(gallery, "_PIECES", 4)
    names = ImageSample(stored.spark, stored.uri).names
    assert 40 <= len(names) <= 160
    quarters = {int(name[:3]) // 100 for name in names}
    assert quarters == {0, 1, 2, 3}
    assert ImageSample(stored.spark, stored.uri).names == names
    assert set(ImageSample(stored.spark, stored.uri).compute(names[:3], lambda name, _: name)) == set(
        names[:3]
    )


def test_some_rows_are_about_5000_wherever_they_are(spark: SparkSession) -> None:
    digests = "unhex(sha2(cast(id as string), 256)) as digest"
    table = spark.range(40_000, numPartitions=4).selectExpr("id", digests)
    chosen = [row.id for row in some_rows(table, 40_000).collect()]
    assert len(chosen) == pytest.approx(5000, rel=0.1)
    assert np.histogram(chosen, 4, (0, 40_000))[0] == pytest.approx([1250] * 4, rel=0.15)
    assert some_rows(table.limit(300), 300).count() == 300
