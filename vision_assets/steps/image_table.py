"""The columns of stored images: of the SequenceFile, of its index, and of what is read from it."""

from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType, StructType

from vision_assets.tables.columns import DIGEST, FILE_NAME, column
from vision_assets.tables.table import Count, Table

SEQUENCE_FILE_SCHEMA = StructType(
    [
        column("key", StringType(), "Text: path of the image in the source, its parts joined by /"),
        column("value", BinaryType(), "BytesWritable: the bytes of the file, unchanged"),
    ]
)
"""What `image_seqfile` stores."""

IMAGE_SCHEMA = StructType([FILE_NAME, column("content", BinaryType(), "the bytes of the file, unchanged")])
"""What is read from it."""

UNUSED_PAGES = "unused_pages"
"""Name of the count of pages and frames that are not used."""

IMAGE_SEQFILE = Table(
    schema=StructType(
        [
            FILE_NAME,
            column("length", LongType(), "bytes of the file"),
            DIGEST,
            column("part", StringType(), "part file that contains the image"),
            column("stamp", StringType(), "state of the file in the source when it was read", nullable=True),
            column(
                "pages",
                IntegerType(),
                "pages or frames in the file, of which one is used; null if an earlier release stored it",
                nullable=True,
            ),
        ]
    ),
    key="fileName",
    row_noun="images",
    counts={"images": Count("count(*)"), UNUSED_PAGES: Count("sum(pages - 1)")},
    is_per_image=True,
    computed="read",
)
"""The index, stored beside the images: it says which images there are without reading them."""
