"""Pages of files in the SequenceFile and in its index."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from vision_assets.spark import sequence_file
from vision_assets.steps import image_index, image_writer
from vision_assets.steps.image_pages import begins_file, file_of
from vision_assets.steps.sources.image_files import ImageFiles, Pair, Patterns, Skipped
from vision_assets.vision.io.pages import count_pages, split_pages
from vision_assets_tests.torture.seeds import seed_files
from vision_assets_tests.vision import images
from vision_assets_tests.vision.paged_files import gray_pages, paged_files


def in_workers(pairs: list[Pair], patterns: str = "*", *, every_page: bool = True) -> ImageFiles:
    return ImageFiles(
        "test",
        Patterns([patterns]),
        len(pairs),
        Skipped(),
        lambda context: context.parallelize(pairs, 2),
        every_page=every_page,
    )


def in_driver(pairs: list[Pair]) -> ImageFiles:
    return ImageFiles(
        "test", Patterns(["*"]), len(pairs), Skipped(), by_driver=lambda: iter(pairs), every_page=True
    )


def test_the_index_counts_the_pages_of_every_format(spark: SparkSession, tmp_path: Path) -> None:
    """It asks Python only about files that begin as some formats do; all formats must be among them."""
    files = {
        f"{kind} {number}": data
        for kind, all_of in seed_files().items()
        for number, data in enumerate(all_of)
    }
    files |= paged_files()
    image_writer.write(spark, in_workers(list(files.items()), every_page=False), str(tmp_path))
    rows = image_index.read(spark, str(tmp_path)).collect()
    assert {row.fileName: row.pages for row in rows} == {
        name: count_pages(data) for name, data in files.items()
    }


@pytest.mark.parametrize("make", [in_workers, in_driver])
def test_every_page_becomes_an_image(spark: SparkSession, tmp_path: Path, make: type) -> None:
    tiff, jpeg = paged_files()["tiff"], images.jpeg(gray_pages()[0])
    written = image_writer.write(spark, make([("a/x.tif", tiff), ("y.jpg", jpeg)]), str(tmp_path))
    assert written.count == 2, "files"
    first, *others = split_pages(tiff)
    assert dict(sequence_file.read(spark, str(tmp_path)).collect()) == {
        "a/x.tif": first,
        **{f"a/x.tif#{number}": page for number, page in enumerate(others, 2)},
        "y.jpg": jpeg,
    }


def test_pages_of_another_data_folder_are_taken_as_their_file_is(spark: SparkSession, tmp_path: Path) -> None:
    pairs = [("x.tif", b"1"), ("x.tif#2", b"2"), ("x.txt#2", b"3")]
    written = image_writer.write(spark, replace(in_workers(pairs, "*.tif"), count=2), str(tmp_path))
    assert written.skipped.examples == [("x.txt#2", "name matches no pattern")]


def test_pages_stay_in_the_part_file_of_their_file(tmp_path: Path) -> None:
    pairs = [(name, bytes(600)) for name in ("a.tif", "a.tif#2", "a.tif#3", "b.tif", "c.tif", "c.tif#2")]
    kept: list[Path] = []

    def upload(part: Path) -> None:
        kept.append(part.rename(tmp_path / part.name))

    sequence_file.write_parts(pairs, upload, part_bytes=1000, may_begin=begins_file)
    names = [[key for key in ("a", "b", "c") if f"{key}.tif".encode() in part.read_bytes()] for part in kept]
    assert names == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("key", "file"),
    [("a.tif", "a.tif"), ("a.tif#2", "a.tif"), ("a.tif#10", "a.tif"), ("a#1", "a#1"), ("a#2/b", "a#2/b")],
)
def test_the_file_of_a_key(key: str, file: str) -> None:
    assert file_of(key) == file
    assert begins_file((key, b"")) is (key == file)


def test_a_page_has_the_stamp_of_its_file(spark: SparkSession) -> None:
    found = spark.createDataFrame(pa.table({"fileName": ["x.tif", "x.tif#2", "x.tif#3", "y#2"]}))
    stamps = spark.createDataFrame(
        pa.table({"fileName": ["x.tif", "x.tif#3", "y#2"], "stamp": ["1", "2", "3"]})
    )
    expected = {"x.tif": "1", "x.tif#2": "1", "x.tif#3": "2", "y#2": "3"}
    stamped = image_index.with_stamps(found, stamps, every_page=True).collect()
    assert {row.fileName: row.stamp for row in stamped} == expected
    assert len(stamped) == len(expected)
    plain = image_index.with_stamps(found, stamps).collect()
    assert {row.fileName: row.stamp for row in plain} == {**expected, "x.tif#2": None}


def test_an_index_of_an_earlier_release_has_no_counts(spark: SparkSession, tmp_path: Path) -> None:
    image_writer.write(spark, in_workers([("a.tif", paged_files()["tiff"])], every_page=False), str(tmp_path))
    image_index.write(spark, str(tmp_path), [part.name for part in tmp_path.glob("part-*")], {})
    for file in (tmp_path / image_index.INDEX).glob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns("pages"), file)
    (row,) = image_index.read(spark, str(tmp_path)).collect()
    assert row.pages is None
    assert image_index.files_with_pages(image_index.read(spark, str(tmp_path)), 3) == []
