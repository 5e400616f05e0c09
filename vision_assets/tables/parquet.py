"""Reading and writing of Parquet."""

from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark.hadoop import escape_glob
from vision_assets.spark.parquet_schema import stored_schema
from vision_assets.spark.worker_files import (
    NAMES_IN_A_GROUP,
    SORTED_GROUP_BYTES,
    MappedRows,
    WrittenFile,
    write_files,
)
from vision_assets.tables.table import Table
from vision_assets.uris import local_path


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
    writer = (rows.sortWithinPartitions(table.sorted_by) if table.sorted_by else rows).write.mode("append")
    if table.sorted_by:
        writer = writer.option("parquet.block.size", SORTED_GROUP_BYTES)
    if table.looked_up_by:
        writer = writer.option(f"parquet.bloom.filter.enabled#{table.looked_up_by}", "true")
        writer = writer.option(f"parquet.bloom.filter.expected.ndv#{table.looked_up_by}", NAMES_IN_A_GROUP)
    writer.parquet(uri)


def write_by_workers(rows: MappedRows, table: Table, uri: str) -> list[WrittenFile] | None:
    """Let the workers that make rows write them, beside those that a folder has already.

    Parameters
    ----------
    rows : MappedRows
        With the schema of the table.
    table : Table
    uri : str
        A local path or a Hadoop URI.

    Returns
    -------
    list of WrittenFile or None
        None if only Spark can write there: on a cluster, or to a storage that is not a local folder. Then
        nothing is written.
    """
    is_one_machine = str(rows.source.sparkSession.sparkContext.master).startswith("local")
    folder = local_path(uri) if is_one_machine else None
    if folder is None:
        return None
    return write_files(rows, folder, table.sorted_by, table.looked_up_by)
