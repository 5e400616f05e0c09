"""Features of images: keypoints and descriptors, one row per image."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, IntegerType, StructType

from vision_assets.pipelines import IMAGE_ASSET, Step
from vision_assets.spark.crash_guard import Crash, run_guarded
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps.images import sample_of
from vision_assets.steps.pictures.features import draw_features
from vision_assets.steps.run_options import RefreshOptions
from vision_assets.steps.spec import StepSpec, TableWithLineage
from vision_assets.tables.columns import DIGEST, ERROR, FILE_NAME, HEIGHT, LABEL, WIDTH, column
from vision_assets.tables.per_image import EarlierRows
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.draw import Picture
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.opencv import use_one_thread
from vision_assets.vision.io.decoding import UNCHANGED_SINCE, ImageError
from vision_assets.vision.io.headers import read_header
from vision_assets.vision.io.labels import label_of
from vision_assets.vision.options import Options, option
from vision_assets.wording import counted

_File = tuple[pa.StringScalar, pa.BinaryScalar]  # name and content

_BATCH_BYTES = 2**22  # of features that are handed over at once; the features of one image may be more


@dataclass(frozen=True)
class ExtractionOptions(Options):
    """What every extraction has besides the extractor's own options."""

    partitions: int | None = option(
        None,
        "Approximate number of Spark tasks and files; null chooses by size and cores.",
        ge=1,
        changes_table=False,
    )
    # The check compares with the value in the manifest, so another value needs another snapshot.
    max_failed_share: float = option(
        0.01,
        "Warn when a larger share of the images fails to decode.",
        ge=0,
        le=1,
    )


def features_table(extractor: type[ExtractorOptions]) -> Table:
    """Describe the table of an extractor's features."""
    dtype, length = extractor.dtype, extractor.length
    return Table(
        schema=StructType(
            [
                FILE_NAME,
                LABEL,
                DIGEST,
                WIDTH,
                HEIGHT,
                column("keypointCount", IntegerType(), "number of keypoints and descriptors"),
                column("keypoints", BinaryType(), "float32, keypointCount x 5: x, y, size, angle, response"),
                column("descriptors", BinaryType(), f"{dtype}, keypointCount x {length}, row-major"),
                ERROR,
            ]
        ),
        key="fileName",
        row_noun="images",
        counts={
            "images": Count("count(*)"),
            "descriptors": Count("sum(keypointCount)"),
            "failures": Count("count(error)"),
            "images_without_keypoints": Count("count_if(error is null and keypointCount = 0)"),
        },
        invariants={
            "sizes_match": Invariant(
                "bool_and(keypointCount >= 0 and octet_length(keypoints) = keypointCount * 20"
                f" and octet_length(descriptors) = keypointCount * {length * dtype.itemsize}"
                " and octet_length(digest) = 32)",
                "The binary cells have the sizes that the counts imply.",
            ),
            "errors_have_no_descriptors": Invariant(
                "bool_and(error is null or keypointCount = 0)",
                "An image that could not be read has no descriptors.",
            ),
        },
        same_keys_as=IMAGE_ASSET,
        is_per_image=True,
        computed="extracted",
        content="struct(fileName, keypointCount, error)",
        sorted_by="digest",
        looked_up_by="fileName",
    )


def declare(step: Step) -> StepSpec:
    """Declare the asset of an extractor's features."""
    extractor = step.extractor
    assert extractor  # noqa: S101 - a step of features has one

    def draw(features: TableWithLineage) -> Mapping[str, Picture]:
        images = features.snapshot.counts["images"]
        return draw_features(sample_of(features.upstream(step.inputs["images"])), features.rows, images)

    return StepSpec(
        step,
        features_table(extractor),
        description=f"{extractor.title} keypoints and descriptors, one row per image. An image that cannot "
        "be read has an error instead.\n\n"
        "Only new and changed images are extracted, unless the settings have changed.",
        options=(extractor, ExtractionOptions, RefreshOptions),
        badges=frozenset({"pyspark", "opencv", "parquet"}),
        draw=draw,
        summarize=_summarize,
    )


def _summarize(counts: Mapping[str, float]) -> str:
    empty = counts.get("images_without_keypoints", 0)  # earlier releases did not count them
    return (
        f"{counted(counts['images'], 'image')} with {counted(counts['descriptors'], 'descriptor')}; "
        f"{counted(counts['failures'], 'image')} could not be read"
        f"{f', {int(empty):,} without keypoints' if empty else ''}."
    )


def row_settings(options: ExtractorOptions) -> dict[str, Any]:
    """Return everything that a row depends on besides its image.

    Other versions of the libraries may find other keypoints.
    """
    return {"extractor": options.name, **options.versions(), **asdict(options)}


def earlier_rows(options: ExtractorOptions, read_images: Callable[[], DataFrame]) -> list[EarlierRows]:
    """Return what earlier releases have extracted with these options, as far as it has not changed.

    Parameters
    ----------
    options : ExtractorOptions
    read_images : callable
        Returns the images, with the schema `vision_assets.steps.image_table.IMAGE_SCHEMA`.

    Returns
    -------
    list of EarlierRows
    """
    now, opencv = row_settings(options), options.versions()["opencv"]
    versions = options.same_opencv if opencv in options.same_opencv else (opencv,)
    # Version 1 stored neither its number nor a value range, on which no JPEG depends.
    version_1 = {name: value for name, value in now.items() if name not in ("decoding", "value_range")}
    unchanged_jpegs = partial(_images_of, UNCHANGED_SINCE["1"], read_images)
    return [
        *(EarlierRows(now | {"opencv": version}) for version in versions if version != opencv),
        *(EarlierRows(version_1 | {"opencv": version}, unchanged_jpegs) for version in versions),
    ]


def _images_of(formats: Collection[str], read_images: Callable[[], DataFrame]) -> DataFrame:
    """Return the column ``fileName`` of the images in some formats, which only their content tells."""
    return read_images().mapInArrow(partial(_names_of, formats), StructType([FILE_NAME]))


def _names_of(formats: Collection[str], images: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in images:
        is_wanted = [read_header(data.as_py()).kind in formats for data in batch["content"]]
        yield batch.select(["fileName"]).filter(pa.array(is_wanted, pa.bool_()))


class FeatureRow(NamedTuple):
    """A row of the features: the columns of `features_table` in their order."""

    file_name: str
    label: str | None
    digest: bytes
    width: int | None
    height: int | None
    keypoint_count: int
    keypoints: bytes
    descriptors: bytes
    error: str | None


def extract(images: DataFrame, options: ExtractorOptions) -> MappedRows:
    """Extract features, one row per image.

    Parameters
    ----------
    images : DataFrame
        With the schema `vision_assets.steps.image_table.IMAGE_SCHEMA`.
    options : ExtractorOptions
        Which extractor, and how to extract.

    Returns
    -------
    MappedRows
        With the schema of `features_table`, not yet computed. An image that cannot be read, or on which the
        worker crashes repeatedly, has a row with an error.
    """
    schema = features_table(type(options)).schema
    return MappedRows(images, partial(_extract_partition, options, to_arrow_schema(schema)), schema)


def _extract_partition(
    options: ExtractorOptions, columns: pa.Schema, images: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    use_one_thread()
    extractor = ImageExtractor(options)
    rows: list[FeatureRow] = []
    size = 0
    with _silent_stderr():
        for batch in images:
            files = list(zip(batch["fileName"], batch["content"], strict=True))
            found = run_guarded(partial(_row_of_file, extractor), files)
            for file, row in zip(files, found, strict=True):
                rows.append(_crashed_row(file, row) if isinstance(row, Crash) else row)
                size += len(rows[-1].keypoints) + len(rows[-1].descriptors)
                if size >= _BATCH_BYTES:
                    yield _batch(rows, columns)
                    rows, size = [], 0
        if rows:
            yield _batch(rows, columns)


def _row_of_file(extractor: ImageExtractor, file: _File) -> FeatureRow:
    file_name, data = file
    return feature_row(extractor, file_name.as_py(), data.as_py())


def _crashed_row(file: _File, crash: Crash) -> FeatureRow:
    file_name, data = file
    error = str(crash) if crash.timed_out else f"the extractor crashed on it ({crash})"
    return _failed_row(file_name.as_py(), data.as_py(), error)


def _failed_row(
    file_name: str, data: bytes, error: str, width: int | None = None, height: int | None = None
) -> FeatureRow:
    return FeatureRow(file_name, label_of(file_name), _digest(data), width, height, 0, b"", b"", error)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _batch(rows: list[FeatureRow], columns: pa.Schema) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, columns, strict=True)], schema=columns
    )


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Silence what libjpeg, libpng and libtiff print of a broken image; its row says it with a name."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def feature_row(extractor: ImageExtractor, file_name: str, data: bytes) -> FeatureRow:
    """Make the row of one image.

    Parameters
    ----------
    extractor : ImageExtractor
    file_name : str
    data : bytes
        The content of the file.

    Returns
    -------
    FeatureRow
    """
    try:
        found = extractor.extract(data)
    except ImageError as error:
        return _failed_row(file_name, data, str(error), error.width, error.height)
    return FeatureRow(
        file_name,
        label_of(file_name),
        _digest(data),
        found.width,
        found.height,
        len(found.keypoints),
        found.keypoints.astype("<f4", copy=False).tobytes(),
        found.descriptors.astype(found.descriptors.dtype.newbyteorder("<"), copy=False).tobytes(),
        None,
    )
