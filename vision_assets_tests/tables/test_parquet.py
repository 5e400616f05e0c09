"""Reading of stored Parquet: the columns that Spark finds, without the job that it takes for that."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.parquet_schema import stored_schema
from vision_assets.steps.features import features_table
from vision_assets.tables.parquet import read_parquet, write_parquet
from vision_assets.vision.features.sift import SiftOptions


def jobs(spark: SparkSession, group: str) -> int:
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def test_columns_are_read_without_a_job(spark: SparkSession, tmp_path: Path) -> None:
    uri = f"{tmp_path}/a table [1]"
    made = spark.range(3).selectExpr("id", "cast(id as string) name", "array(cast(id as float)) list")
    made.write.parquet(f"file:{uri}")
    files = [str(file) for file in Path(uri).glob("part-*")]
    spark.sparkContext.setJobGroup("read", "")
    try:
        folder, parts = read_parquet(spark, f"file:{uri}"), read_parquet(spark, *files)
        assert jobs(spark, "read") == 0
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    assert folder.schema == parts.schema == spark.read.parquet(str(tmp_path / "a table*")).schema
    assert sorted(row.name for row in folder.collect()) == ["0", "1", "2"]


def test_files_of_other_writers_are_read_by_spark(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "part-0.parquet")
    assert stored_schema(spark, str(tmp_path)) is None
    assert read_parquet(spark, str(tmp_path)).count() == 2


@pytest.mark.parametrize("content", [None, b"", b"PAR1 is how it begins"])
def test_spark_says_what_is_wrong_with_a_file(
    spark: SparkSession, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "part-0.parquet").write_bytes(content)
    assert stored_schema(spark, str(tmp_path)) is None
    with pytest.raises(Exception, match=r"UNABLE_TO_INFER_SCHEMA|part-0\.parquet") as error:
        read_parquet(spark, str(tmp_path))
    assert isinstance(error.value, AnalysisException) or "part-0.parquet" in str(error.value)


def test_of_features_a_range_of_digests_is_read_alone(spark: SparkSession, tmp_path: Path) -> None:
    """Each row group has a range of its own, and Spark's filter passes over the others."""
    uri = str(tmp_path / "features")
    rows = spark.range(300, numPartitions=1).selectExpr(
        "cast(id as string) fileName",
        "'a' label",
        "unhex(sha2(cast(id as string), 256)) digest",
        "30 width",
        "40 height",
        "400 keypointCount",
        "unhex('00') keypoints",
        # Compressible data would fill no row group.
        "cast(array_join(transform(sequence(1, 1500), i -> sha2(id || '-' || i, 256)), '')"
        " as binary) descriptors",
        "cast(null as string) error",
    )
    write_parquet(rows, features_table(SiftOptions), uri)
    (file,) = Path(uri).glob("part-*")
    groups = pq.ParquetFile(file).metadata
    column = groups.schema.names.index("digest")
    found = [groups.row_group(index).column(column).statistics for index in range(groups.num_row_groups)]
    assert len(found) >= 4
    assert all(one.max < next_one.min for one, next_one in pairwise(found))

    stored = read_parquet(spark, uri)
    chosen = stored.where((stored.digest >= F.lit(bytes([64]))) & (stored.digest < F.lit(bytes([80]))))
    assert sorted(row.fileName for row in chosen.select("fileName").collect()) == sorted(
        row.fileName for row in rows.select("fileName", "digest").collect() if 64 <= row.digest[0] < 80
    )
    scan = chosen._jdf.queryExecution().executedPlan().collectLeaves().head()
    chosen._jdf.queryExecution().executedPlan().execute().count()
    read = scan.metrics().apply("numOutputRows").value()
    assert read < 300 / 16 + 2 * 300 / len(found)
