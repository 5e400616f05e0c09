from pathlib import Path

from pyspark.sql import SparkSession

from vision_assets.spark.sources import open_source
from vision_assets.spark.stored_tables import StoredImages, stored_rows
from vision_assets.spark.tables import IMAGE_SEQFILE
from vision_assets_tests.pipeline import Pipeline


def test_pairs_are_the_images_in_any_number_of_partitions(
    filled: Pipeline, image_folder: Path, spark: SparkSession
) -> None:
    stored = StoredImages(spark, filled.current("image_seqfile").uri)
    expected = {str(f.relative_to(image_folder)): f.read_bytes() for f in image_folder.rglob("*.jpg")}
    for partitions in (None, 1, 3):
        assert dict(stored.table(partitions).collect()) == expected


def test_small_files_are_read_in_a_partition_per_core(spark: SparkSession, filled: Pipeline) -> None:
    stored = StoredImages(spark, filled.current("image_seqfile").uri)
    assert stored._default_partitions() == spark.sparkContext.defaultParallelism


def test_rows_of_images_are_names_and_sizes(
    filled: Pipeline, image_folder: Path, spark: SparkSession
) -> None:
    rows = stored_rows(spark, IMAGE_SEQFILE, filled.current("image_seqfile").uri)
    assert rows.schema.simpleString() == IMAGE_SEQFILE.schema.simpleString()
    assert {row.fileName: row.length for row in rows.collect()} == {
        str(f.relative_to(image_folder)): f.stat().st_size for f in image_folder.rglob("*.jpg")
    }


def test_a_stored_sequence_file_is_a_source(filled: Pipeline, spark: SparkSession) -> None:
    with open_source(spark, filled.current("image_seqfile").uri) as images:
        assert images.count is None
