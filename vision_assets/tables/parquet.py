"""Reading and writing of Parquet."""

from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark.hadoop import escape_glob
from vision_assets.spark.parquet_schema import stored_schema
from vision_assets.tables.table import Table

_SORTED_GROUP_BYTES = 4 << 20


def read_parquet(spark: SparkSession, *uris: str) -> DataFrame:
    """Read Parquet files or folders of them, whatever characters their names contain.

    The columns are those of the first file. Where they cannot be read from it, Spark finds them, or says what
    is wrong.
    """
    schema = stored_schema(spark, uris[0])
    reader = spark.read if schema is None else spark.read.schema(schema)
    return reader.parquet(*map(escape_glob, uris))


def write_parquet(rows: DataFrame, table: Table, uri: str) -> None:
    """Write rows beside those that a folder has already.

    Parameters
    ----------
    rows : DataFrame
        With the schema of the table.
    table : Table
    uri : str
        A local path or a Hadoop URI.
    """
    if not table.sorted_by:
        rows.write.mode("append").parquet(uri)
        return
    in_order = rows.sortWithinPartitions(table.sorted_by)
    in_order.write.mode("append").option("parquet.block.size", _SORTED_GROUP_BYTES).parquet(uri)
