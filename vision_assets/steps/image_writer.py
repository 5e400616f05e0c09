"""Writes the images of a source into part files of a SequenceFile."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark import Accumulator
from pyspark.accumulators import AccumulatorParam
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.hadoop import copy_from_local, hadoop_path, part_files
from vision_assets.steps.image_pages import begins_file, file_of, pages_of
from vision_assets.steps.sources.image_files import ImageFiles, Pair, Patterns, Skipped, no_images
from vision_assets.vision.io.pages import count_pages


@dataclass(frozen=True)
class SequenceFileReport:
    """How many files were written, and what was not taken from the source.

    Parameters
    ----------
    count : int
        Number of files. Each is an image, or several if every page is one.
    skipped : Skipped
    has_pages : bool
        Whether an image has several pages, of which one will be used.
    """

    count: int
    skipped: Skipped
    has_pages: bool = False

    def __add__(self, other: "SequenceFileReport") -> "SequenceFileReport":
        return SequenceFileReport(
            self.count + other.count, self.skipped + other.skipped, self.has_pages or other.has_pages
        )


Reports = dict[int, SequenceFileReport]
"""Number of a partition to its report."""


def write(spark: SparkSession, images: ImageFiles, uri: str) -> SequenceFileReport:
    """Write images into part files of a SequenceFile, without compression and without a marker file.

    Workers write what they can read. The driver writes what only it can read into one temporary local file
    after the other, of at most 256 MB or one image, and uploads each. At most one file per task is in
    memory.

    Parameters
    ----------
    spark : SparkSession
        The session; its Hadoop settings decide how `uri` is reached.
    images : ImageFiles
        From `vision_assets.steps.sources.open_source`.
    uri : str
        A folder without part files: a local path or a Hadoop URI.

    Returns
    -------
    SequenceFileReport
        What was written; the names skipped while reading are added to those skipped before.

    Raises
    ------
    UserError
        If the source cannot be read to its end, has changed, or has no image. Part files that are written by
        then stay.
    """
    files, path = hadoop_path(spark, uri)
    if files.exists(path) and part_files(spark, uri):
        raise UserError(f"{uri!r} has part files: write into a folder without part files")
    reports = spark.sparkContext.accumulator({}, _ReportPerPartition())
    staged = f"{uri}.uploaded"
    choose = partial(_choose, images.patterns, images.every_page, reports)
    try:
        if images.to_upload:
            copy_from_local(spark, images.to_upload, staged)
            records = sequence_file.read(spark, staged)
            sequence_file.write_rdd(records.mapPartitionsWithIndex(choose), uri)
        if images.by_workers:
            records = images.by_workers(spark.sparkContext)
            sequence_file.write_rdd(records.mapPartitionsWithIndex(choose), uri)
        if images.by_driver:
            files.mkdirs(path)
            sequence_file.write_parts(
                choose(-1, images.by_driver()),
                partial(_upload, spark, uri),
                may_begin=lambda pair: not images.every_page or begins_file(pair),
            )
        written = sum(reports.value.values(), SequenceFileReport(0, images.skipped))
        _check(images, written)
    except UserError:
        raise
    except Exception as error:
        diagnosis = diagnose(error, source=images.source)
        if diagnosis.says_all:
            raise UserError(diagnosis.text) from error
        raise
    finally:
        if images.to_upload:
            files.delete(path.suffix(".uploaded"), True)
    return written


def _check(images: ImageFiles, written: SequenceFileReport) -> None:
    if not written.count:
        raise no_images(images.source, images.patterns, written.skipped)
    if images.count is not None and images.count != written.count:
        raise UserError(
            f"{images.source!r} changed while it was read: {images.count} images were listed and "
            f"{written.count} read.\nRun again when it no longer changes."
        )


class _ReportPerPartition(AccumulatorParam[Reports]):
    """Keeps one report per partition, however often Spark tries its task."""

    def zero(self, value: Reports) -> Reports:
        return {}

    def addInPlace(self, value1: Reports, value2: Reports) -> Reports:  # noqa: N802
        value1.update(value2)
        return value1


def _choose(
    patterns: Patterns, every_page: bool, reports: Accumulator[Reports], partition: int, pairs: Iterable[Pair]
) -> Iterator[Pair]:
    """Take what the patterns take, which is decided here for a SequenceFile alone; report at the end."""
    count, skipped, has_pages = 0, Skipped(), False
    for pair in pairs:
        size, head = len(pair[1]), partial(bytes, pair[1])
        # A page from a SequenceFile of another data folder is taken as its file would be.
        if reason := patterns.reason_to_skip(pair[0], size, head) and patterns.reason_to_skip(
            file_of(pair[0]), size, head
        ):
            skipped.add(pair[0], reason)
        else:
            count += 1
            for image in pages_of(pair) if every_page else (pair,):
                has_pages = has_pages or count_pages(image[1]) > 1
                yield image
    reports.add({partition: SequenceFileReport(count, skipped, has_pages)})


def _upload(spark: SparkSession, uri: str, part: Path) -> None:
    copy_from_local(spark, [str(part)], uri)
