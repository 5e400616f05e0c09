"""Reading of stored Parquet."""

from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark.hadoop import escape_glob
from vision_assets.spark.parquet_schema import stored_schema


def read_parquet(spark: SparkSession, *uris: str) -> DataFrame:
    """Read Parquet files or folders of them, whatever characters their names contain.

    The columns are those of the first file. Where they cannot be read from it, Spark finds them, or says what
    is wrong.
    """
    schema = stored_schema(spark, uris[0])
    reader = spark.read if schema is None else spark.read.schema(schema)
    return reader.parquet(*map(escape_glob, uris))
