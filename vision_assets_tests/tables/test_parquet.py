"""Reading of stored Parquet: the columns that Spark finds, without the job that it takes for that."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from vision_assets.spark.parquet_schema import stored_schema
from vision_assets.tables.parquet import read_parquet


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
