"""Reading of stored Parquet."""

from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark.hadoop import escape_glob


def read_parquet(spark: SparkSession, *uris: str) -> DataFrame:
    """Read Parquet files or folders of them, whatever characters their names contain."""
    return spark.read.parquet(*map(escape_glob, uris))
