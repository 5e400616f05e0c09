"""The columns of stored images: of the SequenceFile, of its index, and of what is read from it."""

from pyspark.sql.types import BinaryType, LongType, StringType, StructType

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

IMAGE_SEQFILE = Table(
    schema=StructType(
        [
            FILE_NAME,
            column("length", LongType(), "bytes of the file"),
            DIGEST,
            column("part", StringType(), "part file that contains the image"),
            column("stamp", StringType(), "state of the file in the source when it was read", nullable=True),
        ]
    ),
    key="fileName",
    row_noun="images",
    counts={"images": Count("count(*)")},
    is_per_image=True,
    computed="read",
)
"""The index, stored beside the images: it says which images there are without reading them."""
