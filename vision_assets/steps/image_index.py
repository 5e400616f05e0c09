"""The index of stored images: which they are, what is in them and where, without reading them again."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.hadoop import escape_glob, hadoop_path, part_files, size_of
from vision_assets.spark.sequence_file import read_table
from vision_assets.spark.session import PARTITIONS_PER_CORE
from vision_assets.steps.image_table import IMAGE_SEQFILE

INDEX = "_index"
"""Folder beside the part files; readers of SequenceFiles and Parquet pass names with an underscore over."""

STAMPS = "_stamps"
"""The same while the images are written: what a run that dies leaves says which images its parts hold."""

_NAME = r"[^/]+$"
_LARGEST_PARTITION = 2**25  # bytes
_SMALLEST_PARTITION = 2**20  # bytes: about a second of SIFT


def default_partitions(spark: SparkSession, size: int) -> int:
    """Return about how many partitions images are read in: of 1 to 32 MB, sixteen per core."""
    cores = spark.sparkContext.defaultParallelism
    enough = min(PARTITIONS_PER_CORE * cores, -(-size // _SMALLEST_PARTITION))
    return max(cores, enough, -(-size // _LARGEST_PARTITION))


def read_images(spark: SparkSession, uris: Sequence[str], partitions: int) -> DataFrame:
    """Read stored images, lazily.

    Parameters
    ----------
    spark : SparkSession
    uris : sequence of str
        Part files, or folders of them.
    partitions : int
        Approximate number; see `vision_assets.spark.sequence_file.read_table`.

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.IMAGE_SCHEMA`.
    """
    return read_table(spark, uris, partitions, ("fileName", "content"))


def scan(spark: SparkSession, uris: Sequence[str]) -> DataFrame:
    """Read images and make their index, without stamps.

    Parameters
    ----------
    spark : SparkSession
    uris : sequence of str
        Part files, or folders of them.

    Returns
    -------
    DataFrame
        Columns ``fileName``, ``length``, ``digest``, ``part``; not yet computed.
    """
    size = sum(size_of(spark, uri) for uri in uris)
    return read_images(spark, uris, default_partitions(spark, size)).select(
        "fileName",
        F.expr("cast(octet_length(content) as bigint) as length"),
        F.expr("unhex(sha2(content, 256)) as digest"),
        F.regexp_substr(F.input_file_name(), F.lit(_NAME)).alias("part"),
    )


def read(spark: SparkSession, uri: str) -> DataFrame:
    """Read the index of stored images; of those that were stored without one, make it.

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.steps.image_table.IMAGE_SEQFILE`.
    """
    files = _files(spark, uri, INDEX)
    if not files:
        return scan(spark, [uri]).withColumn("stamp", F.lit(None).cast("string"))
    return spark.read.schema(IMAGE_SEQFILE.schema).parquet(*files)


def write(
    spark: SparkSession, uri: str, new_parts: Sequence[str], taken_over: Mapping[str, Mapping[str, str]]
) -> None:
    """Write the index of images that have been stored, in place of their stamps.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Their folder, with the stamps if the source has any.
    new_parts : sequence of str
        Names of the part files that no index has yet.
    taken_over : mapping
        Folder of stored images to names of their part files there and here.
    """
    tables = []
    if new_parts:
        found = scan(spark, [f"{uri}/{name}" for name in new_parts])
        stamps = read_stamps(spark, uri)
        tables.append(
            found.join(stamps, "fileName", "left")
            if stamps is not None
            else found.withColumn("stamp", F.lit(None).cast("string"))
        )
    for stored, names in taken_over.items():
        renamed = spark.createDataFrame(pa.table({"part": list(names), "renamed": list(names.values())}))
        tables.append(
            read(spark, stored)
            .join(F.broadcast(renamed), "part")
            .drop("part")
            .withColumnRenamed("renamed", "part")
        )
    columns = IMAGE_SEQFILE.schema.names
    index = tables[0].select(columns)
    for table in tables[1:]:
        index = index.union(table.select(columns))
    files = max(1, sum(len(names) for names in taken_over.values()) + len(new_parts))
    index.coalesce(min(files, spark.sparkContext.defaultParallelism)).write.parquet(f"{uri}/{INDEX}")
    system, stamps = hadoop_path(spark, f"{uri}/{STAMPS}")
    system.delete(stamps, True)


def write_stamps(spark: SparkSession, uri: str, stamps: pa.Table) -> None:
    """Write the stamps of images that are about to be stored: columns ``fileName``, ``stamp``."""
    spark.createDataFrame(stamps).coalesce(1).write.parquet(f"{uri}/{STAMPS}")


def read_stamps(spark: SparkSession, uri: str) -> DataFrame | None:
    """Read what `write_stamps` has written; None if there is nothing."""
    files = _files(spark, uri, STAMPS)
    return spark.read.schema("fileName string, stamp string").parquet(*files) if files else None


def _files(spark: SparkSession, uri: str, folder: str) -> list[str]:
    # Not the folder itself: of a name with an underscore Spark warns that it is ignored, and reads it.
    system, path = hadoop_path(spark, f"{uri}/{folder}")
    if not system.exists(path):
        return []
    return [escape_glob(file) for file in part_files(spark, f"{uri}/{folder}")]
