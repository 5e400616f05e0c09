"""Where images come from: a folder, a tar, a zip or a SequenceFile, on local disks or Hadoop storage.

Each kind of source is one module with one class, which recognizes its content and opens it. A new kind is
such a module and a line in `SOURCES`, or in `ARCHIVES` if it is an archive that Python reads from a disk.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vision_assets import uris
from vision_assets.errors import UserError
from vision_assets.spark.diagnosis import diagnose
from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.copied_archive import CopiedArchiveSource
from vision_assets.steps.sources.folder import FolderSource
from vision_assets.steps.sources.hadoop_folder import HadoopFolderSource
from vision_assets.steps.sources.hadoop_tar import HadoopTarSource
from vision_assets.steps.sources.image_files import ImageFiles, Patterns, Skipped, no_images
from vision_assets.steps.sources.place import Place, hadoop_place, is_local_master, local_place
from vision_assets.steps.sources.sequence_file import SequenceFileSource
from vision_assets.steps.sources.source import Source
from vision_assets.steps.sources.tar import CompressedTarSource, TarSource
from vision_assets.steps.sources.zip import ZipSource
from vision_assets.vision.io.formats import DEFAULT_PATTERNS

__all__ = ["ImageFiles", "Reader", "Skipped", "open_source"]

Reader = Literal["auto", "workers", "driver"]

ARCHIVES: tuple[ArchiveSource, ...] = (ZipSource(), CompressedTarSource(), TarSource())
"""Formats of archives."""

SOURCES: tuple[Source, ...] = (
    SequenceFileSource(),
    FolderSource(),
    HadoopFolderSource(),
    *ARCHIVES,
    HadoopTarSource(),
    CopiedArchiveSource(ARCHIVES),
)
"""All kinds of sources; the first that recognizes a place opens it."""


def open_source(
    spark: SparkSession,
    source: str,
    patterns: Sequence[str] = DEFAULT_PATTERNS,
    *,
    by_content: bool = False,
    reader: Reader = "auto",
) -> ImageFiles:
    """Choose the images of a source. Their bytes are read later, by `vision_assets.steps.image_writer.write`.

    Keys are paths relative to the source, with '/'; inside an archive with a single top folder relative to
    that folder. Keys of a SequenceFile stay as they are.

    Parameters
    ----------
    spark : SparkSession
        The session.
    source : str
        A folder, a tar (also compressed by gzip, bzip2, xz or Zstandard), a zip, a SequenceFile or a folder
        of its part files, as a local path or a Hadoop URI. Its content decides what it is, not its name.
    patterns : sequence of str
        Glob patterns for the file name; case is ignored.
    by_content : bool
        Whether a file whose name matches no pattern is taken if its content begins like an image.
    reader : {"auto", "workers", "driver"}
        Who reads a local source. "workers" need to have it at the same path; "driver" uploads it from this
        machine alone; "auto" takes the driver when Spark's workers are on other machines. Through Hadoop
        the workers always read, except compressed tars and zips, which are copied to this machine first.

    Returns
    -------
    ImageFiles
        What was chosen and what skipped. Use it in a `with` block, which removes a copied archive.

    Raises
    ------
    UserError
        If the source is missing, unreadable, damaged or of an unknown kind, or has no image.
    """
    chosen = Patterns(patterns, by_content=by_content)
    path = local_path(source, spark.sparkContext._jsc.hadoopConfiguration)
    if path is not None:
        by_driver = reader == "driver" or (reader == "auto" and not is_local_master(spark))
        images = _open(local_place(spark, source, path, chosen, by_driver=by_driver))
    else:
        images = _open_hadoop(spark, source, chosen)
    if images.count == 0:
        images.close()
        raise no_images(source, chosen, images.skipped)
    return images


def local_path(source: str, hadoop: Callable[[], Any]) -> str | None:
    """Return the path of a source on this machine; None when it is for Hadoop.

    Parameters
    ----------
    source : str
        As the user gave it.
    hadoop : callable
        Returns Hadoop's configuration; called only if that decides.

    Returns
    -------
    str or None

    Raises
    ------
    UserError
        If there is no such path.
    """
    if not source.strip():
        raise UserError("no source: give a folder, an archive or a SequenceFile, as a path or a URI")
    path = uris.local_path(source)
    if path is None:
        return None
    if path.exists():
        return str(path)
    default = str(hadoop().get("fs.defaultFS", "file:///"))
    if not uris.is_uri(source) and uris.scheme_of(default) != "file":
        return None
    raise UserError(f"source {source!r} does not exist on this machine. Is the path right?")


def _open(place: Place) -> ImageFiles:
    for source in SOURCES:
        if source.recognizes(place):
            return source.open(place)
    if not place.head:
        raise UserError(f"{place.source!r} is empty: it has no bytes.\nCopy or create it again.")
    *formats, last = dict.fromkeys(name for source in SOURCES for name in source.formats)
    raise UserError(
        f"{place.source!r} is not a {', '.join(formats)} or {last}, or it is damaged: it begins with "
        f"{place.head[:8]!r}.\nName one of these as the source."
    )


def _open_hadoop(spark: SparkSession, source: str, patterns: Patterns) -> ImageFiles:
    try:
        return _open(hadoop_place(spark, source, patterns))
    except (Py4JJavaError, PySparkException) as error:
        diagnosis = diagnose(error)
        if diagnosis.is_known and diagnosis.may_pass:
            raise
        advice = "" if diagnosis.is_known else ".\nIs the URI right, and is Spark set up for it?"
        raise UserError(f"cannot read {source!r}: {diagnosis.text}{advice}") from error
