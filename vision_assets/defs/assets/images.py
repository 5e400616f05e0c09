"""The images of a source, stored together."""

from typing import Literal

import dagster as dg
from pydantic import Field

from vision_assets import settings
from vision_assets.defs.columns import definition_metadata
from vision_assets.defs.config import AssetConfig
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.resources import SparkResource
from vision_assets.errors import UserError
from vision_assets.redaction import redact
from vision_assets.steps.sources import ImageFiles, open_source
from vision_assets.tables.table import SEQUENCE_FILE
from vision_assets.vision.io.formats import DEFAULT_PATTERNS


class ImageSeqfileConfig(AssetConfig):
    """Where the images come from."""

    source: str = Field(
        default="",
        description="Folder, .tar, .tar.gz, .zip or SequenceFile of images: a local path or a Hadoop URI. "
        "Empty takes the one in the environment variable VISION_ASSETS_SOURCE.",
    )
    patterns: list[str] | None = Field(
        default=None,
        min_length=1,
        description="File names to take, as glob patterns without regard to case, such as *.jpg; the rest is "
        "skipped, counted and named. Null takes the names of all formats that OpenCV reads.",
    )
    reader: Literal["auto", "workers", "driver"] = Field(
        default="auto",
        description="Who reads the source: `workers`, side by side; `driver`, for files that only this "
        "machine can see; `auto` takes the driver for local paths when Spark runs on a cluster.",
    )
    full_refresh: bool = Field(
        default=False, description="Read every image anew, also of files that look as at the last run."
    )


@dg.asset(
    io_manager_key="sequence_file",
    group_name="bovw",
    kinds={"pyspark", "hadoop"},
    code_version="1",
    retry_policy=RETRY_POLICY,
    metadata=definition_metadata(SEQUENCE_FILE),
)
def image_seqfile(
    context: dg.AssetExecutionContext, config: ImageSeqfileConfig, pyspark: SparkResource
) -> ImageFiles:
    """All images of the source in a SequenceFile: key = path in the source, value = the file's bytes."""
    with failures():
        source = config.source or settings.source()
        if not source:
            raise UserError(
                "No source of images is named. Set `source` in the configuration of image_seqfile, or the "
                "environment variable VISION_ASSETS_SOURCE; `vision-assets sample` makes sample images."
            )
        images = open_source(
            pyspark.spark_session, source, config.patterns or DEFAULT_PATTERNS, reader=config.reader
        )
    shown = redact(source)
    context.log.info(f"{shown}: {'unknown' if images.count is None else format(images.count, ',')} images")
    context.add_output_metadata({"source": shown})
    return images
