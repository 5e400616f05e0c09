"""Columns of stored tables, and those that several tables have."""

from pyspark.sql.types import BinaryType, DataType, IntegerType, StringType, StructField


def column(name: str, kind: DataType, comment: str, *, nullable: bool = False) -> StructField:
    """Make a column with a comment, which Dagster shows."""
    return StructField(name, kind, nullable, {"comment": comment})


FILE_NAME = column("fileName", StringType(), "path of the image in the source, its parts joined by /")
DIGEST = column("digest", BinaryType(), "SHA-256 of the file")
LABEL = column("label", StringType(), "name of the folder that the file is in", nullable=True)
WIDTH = column("width", IntegerType(), "pixels", nullable=True)
HEIGHT = column("height", IntegerType(), "pixels", nullable=True)
ERROR = column("error", StringType(), "why the image could not be read; null when fine", nullable=True)
