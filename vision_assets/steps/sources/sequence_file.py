"""A SequenceFile, or a folder of its part files, locally or behind Hadoop."""

from dataclasses import replace
from functools import partial

from pyspark import RDD, SparkContext
from pyspark.sql import SparkSession

from vision_assets.spark import sequence_file
from vision_assets.steps.sources.image_files import ImageFiles, Pair, Skipped
from vision_assets.steps.sources.place import Place


class SequenceFileSource:
    """A SequenceFile of file names and bytes, such as this project itself stores."""

    formats = ("SequenceFile",)

    def recognizes(self, place: Place) -> bool:
        """Tell whether the first part begins like a SequenceFile."""
        return place.head.startswith(sequence_file.MAGIC)

    def open(self, place: Place) -> ImageFiles:
        """Check a SequenceFile, which is read by the workers; which images it has shows when it is read."""
        sequence_file.check_header(place.head, place.parts[0])
        if place.path is not None:
            for part in place.parts:
                sequence_file.check_records(part)
        if place.by_driver:
            return ImageFiles(place.source, place.patterns, None, Skipped(), to_upload=place.parts)
        images = ImageFiles(place.source, place.patterns, None, Skipped())
        return replace(images, by_workers=partial(_records, place.spark, place.uri))


def _records(spark: SparkSession, uri: str, _context: SparkContext) -> "RDD[Pair]":
    return sequence_file.read(spark, uri)
