"""Tables as the pipeline has stored them: Parquet, and the images in a SequenceFile."""

from dataclasses import dataclass

from pyspark import RDD
from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark import sequence_file
from vision_assets.spark.tables import IMAGE_SEQFILE, Table

_LARGEST_PARTITION = 2**25  # bytes
_SMALLEST_PARTITION = 2**20  # bytes: about a second of SIFT
_PARTITIONS_PER_CORE = 16  # so that progress shows and the last tasks do not wait for one long one


@dataclass(frozen=True)
class StoredImages:
    """A stored SequenceFile of file names and bytes.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Its folder.
    """

    spark: SparkSession
    uri: str

    def pairs(self, partitions: int | None = None) -> "RDD[tuple[str, bytes]]":
        """Read file names and contents.

        Parameters
        ----------
        partitions : int, optional
            About how many; None takes partitions of 1 to 32 MB, sixteen per core if there is enough for it.

        Returns
        -------
        RDD of (str, bytes)
        """
        return sequence_file.read(self.spark, self.uri, partitions or self._default_partitions())

    def lengths(self) -> DataFrame:
        """Read file names and sizes in bytes, as `vision_assets.spark.tables.IMAGE_SEQFILE` describes."""
        rows = self.pairs().map(_name_and_length)
        return self.spark.createDataFrame(rows, IMAGE_SEQFILE.schema, verifySchema=False)

    def _default_partitions(self) -> int:
        files, path = sequence_file.hadoop_path(self.spark, self.uri)
        size = files.getContentSummary(path).getLength()
        cores = self.spark.sparkContext.defaultParallelism
        enough = min(_PARTITIONS_PER_CORE * cores, -(-size // _SMALLEST_PARTITION))
        return max(cores, enough, -(-size // _LARGEST_PARTITION))


def _name_and_length(pair: tuple[str, bytes]) -> tuple[str, int]:
    return pair[0], len(pair[1])


def stored_rows(spark: SparkSession, table: Table, uri: str) -> DataFrame:
    """Read a stored table with the columns that its schema gives it.

    Parameters
    ----------
    spark : SparkSession
    table : Table
    uri : str
        Folder of a snapshot.

    Returns
    -------
    DataFrame
        Not yet computed; of images the sizes in place of the bytes, although every byte is read for it.
    """
    return StoredImages(spark, uri).lengths() if table is IMAGE_SEQFILE else read_parquet(spark, uri)


def read_parquet(spark: SparkSession, uri: str) -> DataFrame:
    """Read a folder of Parquet files, whatever characters stand in its name."""
    return spark.read.parquet(sequence_file.escape_glob(uri))
