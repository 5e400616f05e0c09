"""The index of stored images: their names, sizes, digests and part files, without reading them again."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StructType

from vision_assets.spark.hadoop import escape_glob, hadoop_path, part_files, size_of
from vision_assets.spark.sequence_file import read_table
from vision_assets.spark.session import PARTITIONS_PER_CORE
from vision_assets.steps.image_pages import PAGE_SUFFIX
from vision_assets.steps.image_table import IMAGE_SEQFILE
from vision_assets.vision.io.pages import count_pages

INDEX = "_index"
"""Folder beside the part files; readers of SequenceFiles and Parquet ignore names with an underscore."""

STAMPS = "_stamps"
"""Folder with the stamps of images that are being written; if the run dies, the next one can reuse them."""

_NAME = r"[^/]+$"
_MAY_HAVE_PAGES = """
    substring(content, 1, 3) in ('II*', 'II+', 'GIF')
    or substring(content, 1, 3) in (X'4d4d00')
    or substring(content, 1, 2) in ('P4', 'P5', 'P6', 'P7', 'PF', 'Pf')
    or (substring(content, 1, 4) = 'RIFF' and substring(content, 13, 4) = 'VP8X')
    or (substring(content, 2, 3) = 'PNG' and contains(content, cast('acTL' as binary)))
    or (substring(content, 5, 4) = 'ftyp' and contains(substring(content, 1, 64), cast('avis' as binary)))
"""
"""SQL: whether `count_pages` may find several pages in a file, told without Python."""

_SCANNED = StructType(
    [IMAGE_SEQFILE.schema[name] for name in ("fileName", "length", "digest", "part", "pages")]
)

_LARGEST_PARTITION = 2**25  # bytes
_SMALLEST_PARTITION = 2**20  # bytes: about a second of SIFT


def default_partitions(spark: SparkSession, size: int) -> int:
    """Return the number of partitions to read images in.

    Parameters
    ----------
    spark : SparkSession
    size : int
        Bytes of all images.

    Returns
    -------
    int
        Partitions have 1 to 32 MB, and there are sixteen per core if that leaves each with 1 MB.
    """
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
        With the schema of `vision_assets.tables.table.IMAGE_SCHEMA`.
    """
    return read_table(spark, uris, partitions, ("fileName", "content"))


def scan(spark: SparkSession, uris: Sequence[str], *, has_pages: bool = True) -> DataFrame:
    """Read images and compute their index, without stamps.

    Parameters
    ----------
    spark : SparkSession
    uris : sequence of str
        Part files, or folders of them.
    has_pages : bool
        False if it is known that no file has several pages. Then nothing goes to Python.

    Returns
    -------
    DataFrame
        Columns ``fileName``, ``length``, ``digest``, ``part``, ``pages``; not yet computed.
    """
    size = sum(size_of(spark, uri) for uri in uris)
    images = read_images(spark, uris, default_partitions(spark, size))
    columns = [
        F.col("fileName"),
        F.expr("cast(octet_length(content) as bigint) as length"),
        F.expr("unhex(sha2(content, 256)) as digest"),
        F.regexp_substr(F.input_file_name(), F.lit(_NAME)).alias("part"),
    ]
    if not has_pages:
        return images.select(*columns, F.lit(1).alias("pages"))
    # Only the content of these goes to Python.
    paged = F.expr(f"if({_MAY_HAVE_PAGES}, content, null) as mayHavePages")
    # Not a function on a column: Spark would keep the content of all images beside it, for the digest.
    return images.select(*columns, paged).mapInArrow(_with_pages, _SCANNED)


def _with_pages(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        pages = [count_pages(file.as_py()) if file.is_valid else 1 for file in batch["mayHavePages"]]
        known = batch.drop_columns("mayHavePages")
        yield known.append_column("pages", pa.array(pages, pa.int32()))


def read(spark: SparkSession, uri: str) -> DataFrame:
    """Read the index of stored images; compute it if they were stored without one.

    Returns
    -------
    DataFrame
        With the schema of `vision_assets.steps.image_table.IMAGE_SEQFILE`.
    """
    files = _files(spark, uri, INDEX)
    if not files:
        return with_stamps(scan(spark, [uri]), None).select(IMAGE_SEQFILE.schema.names)
    return spark.read.schema(IMAGE_SEQFILE.schema).parquet(*files)


def files_with_pages(index: DataFrame, limit: int) -> list[tuple[str, int]]:
    """Return name and number of pages of the first files in an index that have several."""
    found = index.where("pages > 1").orderBy("fileName").limit(limit).select("fileName", "pages")
    return [(row.fileName, row.pages) for row in found.collect()]


def write(
    spark: SparkSession,
    uri: str,
    new_parts: Sequence[str],
    taken_over: Mapping[str, Mapping[str, str]],
    *,
    every_page: bool = False,
    has_pages: bool = True,
) -> None:
    """Write the index of stored images, which replaces their stamps.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Folder of the images, with their stamps if the source has any.
    new_parts : sequence of str
        Names of the part files that are in no index yet.
    taken_over : mapping
        For each folder of earlier images: name of a part file there to its name here.
    every_page : bool
        Whether pages of files are images of their own.
    has_pages : bool
        False if it is known that no image in the new parts has several pages.
    """
    tables = []
    if new_parts:
        found = scan(spark, [f"{uri}/{name}" for name in new_parts], has_pages=has_pages)
        tables.append(with_stamps(found, read_stamps(spark, uri), every_page=every_page))
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


def with_stamps(images: DataFrame, stamps: DataFrame | None, *, every_page: bool = False) -> DataFrame:
    """Add a column ``stamp`` to images.

    Parameters
    ----------
    images : DataFrame
        Column ``fileName`` and others.
    stamps : DataFrame, optional
        From `read_stamps`; None if the source has none.
    every_page : bool
        Whether pages of files are images of their own. A page has the stamp of its file.

    Returns
    -------
    DataFrame
    """
    if stamps is None:
        return images.withColumn("stamp", F.lit(None).cast("string"))
    if not every_page:
        return images.join(stamps, "fileName", "left")
    of_files = stamps.select(F.col("fileName").alias("file"), F.col("stamp").alias("stampOfFile"))
    file = F.regexp_replace("fileName", PAGE_SUFFIX, "")
    joined = images.join(stamps, "fileName", "left").join(of_files, file == F.col("file"), "left")
    return joined.select(*images.columns, F.coalesce("stamp", "stampOfFile").alias("stamp"))


def write_stamps(spark: SparkSession, uri: str, stamps: pa.Table) -> None:
    """Write the stamps of images that are about to be stored: columns ``fileName``, ``stamp``."""
    spark.createDataFrame(stamps).coalesce(1).write.parquet(f"{uri}/{STAMPS}")


def read_stamps(spark: SparkSession, uri: str) -> DataFrame | None:
    """Read what `write_stamps` has written; None if there is nothing."""
    files = _files(spark, uri, STAMPS)
    return spark.read.schema("fileName string, stamp string").parquet(*files) if files else None


def _files(spark: SparkSession, uri: str, folder: str) -> list[str]:
    # Not the folder itself: Spark warns that a name with an underscore is ignored, but reads it.
    system, path = hadoop_path(spark, f"{uri}/{folder}")
    if not system.exists(path):
        return []
    return [escape_glob(file) for file in part_files(spark, f"{uri}/{folder}")]
