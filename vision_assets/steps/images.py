"""The images of a source, stored together in a SequenceFile: the asset `image_seqfile`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.pipelines import Step
from vision_assets.spark.hadoop import size_of
from vision_assets.steps import image_index
from vision_assets.steps.image_index import default_partitions
from vision_assets.steps.image_table import IMAGE_SEQFILE, SEQUENCE_FILE_SCHEMA
from vision_assets.steps.pictures.images import draw_images
from vision_assets.steps.pictures.sample import ImageSample
from vision_assets.steps.skipped_files import warn_of_skipped
from vision_assets.steps.spec import StepSpec, TableWithLineage
from vision_assets.tables.per_image import PendingRows
from vision_assets.vision.draw import Picture
from vision_assets.vision.options import Options, option


@dataclass(frozen=True)
class ImageOptions(Options):
    """Where the images come from."""

    source: str = option(
        "",
        "Folder, .tar (also .tar.gz, .tar.bz2, .tar.xz, .tar.zst), .zip or SequenceFile of images: a local "
        "path or a Hadoop URI. If empty, the source of the project file or of the environment variable "
        "VISION_ASSETS_SOURCE is used.",
    )
    replace_source: bool = option(
        default=False,
        description="Replace the images of another source. Without it, a source that differs from the stored "
        "one is refused, because all stored rows would be dropped.",
        changes_table=False,
    )
    patterns: tuple[str, ...] | None = option(
        None,
        "File names to take, as case-insensitive glob patterns such as *.jpg. Other files are skipped, "
        "counted and named. null takes the names of all formats that are decoded (docs/formats.md).",
        min_length=1,
    )
    pages: Literal["first", "all"] = option(
        "first",
        "Which pages of a TIFF, frames of an animation and images of a netpbm file are taken: the `first` of "
        "each file, or `all`, each as an image of its own: name.tif, name.tif#2, name.tif#3 and so on.",
    )
    take_by_content: bool = option(
        default=False,
        description="Also take files whose names match no pattern if their content begins like an image that "
        "is decoded: photo.jpg.1, a.jpg?size=large, a JPEG named .HEIC. Hidden ones stay skipped.",
    )
    reader: Literal["auto", "workers", "driver"] = option(
        "auto",
        "Who reads the source: `workers`, in parallel; `driver`, for files that only this machine can see; "
        "`auto` uses the driver for local paths when Spark runs on a cluster.",
        changes_table=False,
    )
    full_refresh: bool = option(
        default=False,
        description="Read every image again, including files that have not changed since the last run.",
        changes_table=False,
    )


@dataclass(frozen=True)
class ImageStore:
    """A stored SequenceFile of file names and bytes.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Its folder.
    """

    spark: SparkSession
    uri: str

    def index(self) -> DataFrame:
        """Read which images there are, as `vision_assets.steps.image_table.IMAGE_SEQFILE` describes."""
        return image_index.read(self.spark, self.uri)

    def table(self, partitions: int | None = None, pending: PendingRows | None = None) -> DataFrame:
        """Read file names and contents.

        Parameters
        ----------
        partitions : int, optional
            Approximate number of partitions; None takes partitions of 1 to 32 MB, sixteen per core if there
            is enough data for it.
        pending : PendingRows, optional
            Only these images, from these part files; None takes all.

        Returns
        -------
        DataFrame
            With the schema `vision_assets.steps.image_table.IMAGE_SCHEMA`.
        """
        uris = [self.uri] if pending is None else [f"{self.uri}/{part}" for part in pending.sources]
        size = sum(size_of(self.spark, uri) for uri in uris)
        partitions = partitions or default_partitions(self.spark, size)
        images = image_index.read_images(self.spark, uris, partitions)
        if pending is None:
            return images
        return images.join(F.broadcast(pending.keys), "fileName", "left_semi")


def sample_of(images: TableWithLineage) -> ImageSample:
    """Return the images of a stored `image_seqfile` that pictures are made from."""
    return ImageSample(images.spark, images.uri)


def _draw(images: TableWithLineage) -> Mapping[str, Picture]:
    return draw_images(sample_of(images))


def declare(step: Step) -> StepSpec:
    """Declare the asset of the images."""
    return StepSpec(
        step,
        IMAGE_SEQFILE,
        description="All images of the source in a SequenceFile: key = path in the source, value = the "
        "file's bytes.",
        options=(ImageOptions,),
        storage="sequence_file",
        badges=frozenset({"pyspark", "hadoop"}),
        shown_schema=SEQUENCE_FILE_SCHEMA,
        warn=warn_of_skipped,
        draw=_draw,
    )
