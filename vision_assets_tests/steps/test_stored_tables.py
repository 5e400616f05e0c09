import hashlib
import shutil
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from vision_assets.spark.sequence_file import read
from vision_assets.steps import image_index
from vision_assets.steps.image_index import default_partitions
from vision_assets.steps.image_table import IMAGE_SEQFILE
from vision_assets.steps.images import ImageStore
from vision_assets.steps.sources import open_source
from vision_assets_tests.pipeline import Runner


def test_pairs_are_the_images_in_any_number_of_partitions(
    filled: Runner, image_folder: Path, spark: SparkSession
) -> None:
    stored = ImageStore(spark, filled.current("image_seqfile").uri)
    expected = {str(f.relative_to(image_folder)): f.read_bytes() for f in image_folder.rglob("*.jpg")}
    for partitions in (None, 1, 3):
        assert dict(stored.table(partitions).collect()) == expected


def test_small_files_are_read_in_a_partition_per_core(spark: SparkSession) -> None:
    assert default_partitions(spark, 1) == spark.sparkContext.defaultParallelism


def test_rows_of_images_are_their_index(filled: Runner, image_folder: Path, spark: SparkSession) -> None:
    uri = filled.current("image_seqfile").uri
    rows = image_index.read(spark, uri)
    assert rows.schema.simpleString() == IMAGE_SEQFILE.schema.simpleString()
    assert {row.fileName: (row.length, bytes(row.digest)) for row in rows.collect()} == {
        str(f.relative_to(image_folder)): (f.stat().st_size, hashlib.sha256(f.read_bytes()).digest())
        for f in image_folder.rglob("*.jpg")
    }
    for part, found in rows.toPandas().groupby("part"):
        assert {pair[0] for pair in read(spark, f"{uri}/{part}").collect()} == set(found["fileName"])


def test_images_that_were_stored_without_an_index_get_one_when_read(
    filled_copy: Runner, spark: SparkSession
) -> None:
    uri = filled_copy.current("image_seqfile").uri
    with_index = image_index.read(spark, uri).drop("stamp").orderBy("fileName").toPandas()
    shutil.rmtree(f"{uri}/_index")
    pd.testing.assert_frame_equal(
        image_index.read(spark, uri).drop("stamp").orderBy("fileName").toPandas(), with_index
    )


def test_a_stored_sequence_file_is_a_source(filled: Runner, spark: SparkSession) -> None:
    with open_source(spark, filled.current("image_seqfile").uri) as images:
        assert images.count is None
