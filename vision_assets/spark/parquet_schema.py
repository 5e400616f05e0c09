"""The schema of stored Parquet, read in the driver: Spark itself would run a job to find it."""

import json
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from vision_assets.spark.hadoop import hadoop_path, part_files

SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"
"""Key of the schema, as JSON, among the metadata of a Parquet file."""


def stored_schema(spark: SparkSession, uri: str) -> StructType | None:
    """Return the schema that Spark has written into a file, or into the first file of a folder.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        A local path or a Hadoop URI.

    Returns
    -------
    StructType or None
        None if there is no file, if it cannot be read, or if Spark has not written it.
    """
    try:
        files, path = hadoop_path(spark, uri)
        if files.getFileStatus(path).isDirectory():
            _, path = hadoop_path(spark, part_files(spark, uri)[0])
        jvm: Any = spark.sparkContext._jvm
        file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, files.getConf())
        reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
    except (Py4JJavaError, IndexError):
        return None
    try:
        schema = reader.getFileMetaData().getKeyValueMetaData().get(SPARK_SCHEMA)
    finally:
        reader.close()
    return StructType.fromJson(json.loads(schema)) if schema else None
