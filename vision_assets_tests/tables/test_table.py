from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.steps.catalog import SPECS
from vision_assets.steps.encodings import BOW_ENCODINGS
from vision_assets.steps.image_table import IMAGE_SEQFILE
from vision_assets.tables.table import SAME_KEYS, UNIQUE_KEYS
from vision_assets.tables.verification import add_up, duplicate_keys, observe, summarize

TABLES = {asset: spec.table for asset, spec in SPECS.items()}


def images_table(spark: SparkSession, *images: tuple[str, int]) -> DataFrame:
    rows = [(name, length, bytes(32), "part-0", None, 3) for name, length in images]
    return spark.createDataFrame(rows, IMAGE_SEQFILE.schema)


def test_the_fingerprint_of_keys_depends_on_the_set_alone(spark: SparkSession) -> None:
    names = [f"{i}.jpg" for i in range(50)]
    tables = [
        images_table(spark, *((name, 1) for name in order)).repartition(parts)
        for order, parts in ((names, 1), (names[::-1], 5), ([*names[:-1], "other.jpg"], 1))
    ]
    found = [summarize(IMAGE_SEQFILE, table) for table in tables]
    assert found[0].keys == found[1].keys != found[2].keys
    assert summarize(IMAGE_SEQFILE, tables[0], found[1]).check_results[SAME_KEYS]
    assert not summarize(IMAGE_SEQFILE, tables[2], found[1]).check_results[SAME_KEYS]


def test_counts_are_in_the_fields_words(spark: SparkSession) -> None:
    table = images_table(spark, ("a.jpg", 10), ("b.jpg", 5))
    assert summarize(IMAGE_SEQFILE, table).counts == {"images": 2, "unused_pages": 4}


def test_duplicates_are_found_and_named(spark: SparkSession) -> None:
    table = images_table(spark, ("a.jpg", 1), ("b.jpg", 1), ("a.jpg", 2))
    assert not summarize(IMAGE_SEQFILE, table).check_results[UNIQUE_KEYS]
    assert duplicate_keys(IMAGE_SEQFILE, table) == ["a.jpg"]


def test_an_empty_table_breaks_nothing(spark: SparkSession) -> None:
    for table in TABLES.values():
        summary = summarize(table, spark.createDataFrame([], table.schema))
        assert all(summary.check_results.values())
        assert set(summary.counts.values()) == {0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_values_that_are_no_encodings_are_found(spark: SparkSession, value: float) -> None:
    table = spark.createDataFrame([("a.jpg", None, b"", 1, [1.0, value])], BOW_ENCODINGS.schema)
    assert not summarize(BOW_ENCODINGS, table).check_results["finite_and_non_negative"]


def test_images_are_told_apart_by_their_names_and_digests(spark: SparkSession) -> None:
    table = images_table(spark, ("a.jpg", 1), ("b.jpg", 1))
    fingerprint = summarize(IMAGE_SEQFILE, table).images
    assert fingerprint
    assert fingerprint == summarize(IMAGE_SEQFILE, table.withColumn("part", F.lit("another"))).images
    changed = table.withColumn("digest", F.expr("if(fileName = 'b.jpg', unhex(repeat('01', 32)), digest)"))
    assert fingerprint != summarize(IMAGE_SEQFILE, changed).images
    renamed = table.withColumn("fileName", F.expr("concat('x', fileName)"))
    assert fingerprint != summarize(IMAGE_SEQFILE, renamed).images


@pytest.mark.parametrize("more", [True, False])
def test_counts_of_rows_taken_over_are_added(spark: SparkSession, tmp_path: Path, more: bool) -> None:
    rows = [(f"{i}.jpg", None, b"", i, [float(i), 0.0]) for i in range(9)]
    stored, new = (spark.createDataFrame(part, BOW_ENCODINGS.schema) for part in (rows[:5], rows[5:]))
    table, observation = observe(BOW_ENCODINGS, new)
    table.write.parquet(str(tmp_path / "new"))
    whole = stored.union(new) if more else stored
    taken_over = summarize(BOW_ENCODINGS, stored).counts
    added = add_up(BOW_ENCODINGS, [taken_over, *([observation.get] if more else [])])
    assert summarize(BOW_ENCODINGS, whole, observed=added) == summarize(BOW_ENCODINGS, whole)


@pytest.mark.parametrize("value", [0.5, -1.0])
def test_what_is_observed_while_rows_are_written_is_what_they_hold(
    spark: SparkSession, value: float, tmp_path: Path
) -> None:
    rows = [(f"{i}.jpg", None, b"", i, [1.0, value if i == 7 else 0.0]) for i in range(20)]
    table, observation = observe(
        BOW_ENCODINGS, spark.createDataFrame(rows, BOW_ENCODINGS.schema).repartition(3)
    )
    table.write.parquet(str(tmp_path / "table"))
    stored = spark.read.parquet(str(tmp_path / "table"))
    summary = summarize(BOW_ENCODINGS, stored, observed=observation.get)
    assert summary == summarize(BOW_ENCODINGS, stored)
    assert summary.check_results["finite_and_non_negative"] == (value > 0)
    assert summary.counts["descriptors"] == 190


def test_every_column_says_what_it_holds() -> None:
    for table in TABLES.values():
        assert all(column.metadata["comment"] for column in table.schema)
