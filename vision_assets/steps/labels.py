"""The labels of images: from a file, by a pattern on their names, or by a folder that they are in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StringType, StructType

from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, Step
from vision_assets.steps.image_pages import PAGE_SUFFIX
from vision_assets.steps.label_file import LabelFile, read_label_file
from vision_assets.steps.label_pattern import match_names, require_pattern
from vision_assets.steps.run_options import RefreshOptions
from vision_assets.steps.spec import StepSpec
from vision_assets.tables.columns import FILE_NAME, column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.io.labels import BEYOND_PATH, WINDOWS_PATH
from vision_assets.vision.options import Options, option
from vision_assets.wording import counted

HOW_TO_LABEL = (
    "Put the images of each class into a folder of its own, or set `labels` (a CSV file), `label_pattern` or "
    "`label_level` of image_labels."
)
"""For messages where images have no labels."""
_NAMED_IMAGES = 20
_NAMED_CONFLICTS = 3
_NAME_FORMS = ("name", "path", "composed", "decomposed")
"""Columns of a file of labels that may name an image; the first that does counts."""


@dataclass(frozen=True)
class LabelOptions(Options):
    """Where the labels of the images come from."""

    labels: str = option(
        "",
        "CSV or Parquet file with the columns fileName, label and, if wanted, split (train, test or empty): "
        "a local path or a Hadoop URI. If empty, labels come from the names of the images.",
    )
    label_pattern: str = option(
        "",
        "Regular expression (RE2) that is searched in the name of each image. Its group label is the label, "
        "its group split, if there is one, train or test: `(?P<label>[a-z]+)_[0-9]+`. If empty, labels are "
        "names of folders.",
    )
    label_level: int = option(
        1,
        "Which folder is the label: 1 is the one that the file is in, 2 the one above it, and so on; -1 is "
        "the one at the top of the source, -2 the one below it. 0 gives no labels.",
        ge=-100,
        le=100,
    )

    @property
    def given(self) -> list[str]:
        """Names of the options that say where labels come from; none for the default."""
        return [each.name for each in fields(self) if getattr(self, each.name) != each.default]

    def require_usable(self) -> None:
        """Raise a `UserError` if more than one way is given, or the pattern cannot be used."""
        if len(self.given) > 1:
            raise UserError(
                f"{' and '.join(self.given)} are set together, but labels come from one of them. Remove the "
                "others."
            )
        if self.label_pattern:
            require_pattern(self.label_pattern)


IMAGE_LABELS = Table(
    schema=StructType(
        [
            FILE_NAME,
            column("label", StringType(), "the class of the image; null if it has none", nullable=True),
            column(
                "split",
                StringType(),
                "train or test, as the labels say; null where they do not",
                nullable=True,
            ),
        ]
    ),
    key="fileName",
    row_noun="images",
    counts={
        "images": Count("count(*)"),
        "labels": Count("count(distinct label)", distinct=True),
        "images_without_label": Count("count_if(label is null)"),
        "train_images": Count("count_if(label is not null and split = 'train')"),
        "test_images": Count("count_if(label is not null and split = 'test')"),
    },
    invariants={
        "labels_have_text": Invariant("bool_and(label is null or label <> '')", "No label is an empty text."),
        "known_splits": Invariant(
            "bool_and(split is null or split in ('train', 'test'))", "Each split is train, test or null."
        ),
    },
    same_keys_as=IMAGE_ASSET,
    # A hash passes over nulls: without a text in their place, a label and a split would be the same.
    content="struct(fileName, coalesce(label, ''), coalesce(split, ''))",
)


def declare(step: Step) -> StepSpec:
    """Declare the asset of the labels."""
    return StepSpec(
        step,
        IMAGE_LABELS,
        description="The label of each image, and its split if one is given: by the folder that the image is "
        "in, a pattern on its name, or a CSV or Parquet file. Classifiers learn these labels.",
        options=(LabelOptions, RefreshOptions),
        badges=frozenset({"pyspark", "parquet"}),
        summarize=_summarize,
    )


def _summarize(counts: Mapping[str, float]) -> str:
    without = counted(counts["images_without_label"], "image")
    return f"{counted(counts['labels'], 'label')}; {without} without a label."


class Names(NamedTuple):
    """How many names there are of some kind, and the first of them.

    Attributes
    ----------
    text : str
        What is wrong with them, as a clause of a message.
    total : int
    first : tuple of str
        At most 20, sorted.
    """

    text: str
    total: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class ImageLabels:
    """The labels of images.

    Parameters
    ----------
    rows : DataFrame
        With the schema of `IMAGE_LABELS`, one row per image, not yet computed.
    names : mapping
        What did not fit: ``unknown_names`` (in the file, but of no image) and ``images_without_row`` if the
        labels come from a file; ``images_without_match`` if they come from a pattern or another level;
        ``images_at_unusual_depth`` if they come from folders counted from the file.
    """

    rows: DataFrame
    names: Mapping[str, Names] = field(default_factory=dict)


def label_images(index: DataFrame, options: LabelOptions) -> ImageLabels:
    """Label images.

    Parameters
    ----------
    index : DataFrame
        Column ``fileName``.
    options : LabelOptions

    Returns
    -------
    ImageLabels

    Raises
    ------
    UserError
        If more than one way is given, or the file or the pattern cannot be used.
    """
    found = _label_images(index.select("fileName"), options)
    return replace(found, rows=found.rows.mapInArrow(_compose, IMAGE_LABELS.schema))


def _compose(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Bring labels into Unicode's composed form: file systems differ in it, and people cannot see it."""
    for batch in batches:
        label = pc.utf8_normalize(batch["label"], form="NFC")
        yield batch.set_column(batch.schema.get_field_index("label"), "label", label)


def _label_images(names: DataFrame, options: LabelOptions) -> ImageLabels:
    options.require_usable()
    if options.labels:
        return _by_file(names, read_label_file(names.sparkSession, options.labels))
    if options.label_pattern:
        rows = _by_pattern(names, options.label_pattern)
    else:
        split = F.lit(None).cast("string").alias("split")
        rows = names.select("fileName", folder(options.label_level).alias("label"), split)
    found = {}
    if not options.label_pattern and options.label_level > 0:
        found["images_at_unusual_depth"] = _at_unusual_depth(names)
    if options.given:
        without = rows.where("label is null")
        found["images_without_match"] = _first_names(
            f"{options.given[0]} gives these images no label", without
        )
    return ImageLabels(rows, found)


def folder(level: int) -> Column:
    """Return the SQL of `vision_assets.vision.io.labels.label_of`, for a column ``fileName``.

    Its result is not in Unicode's composed form yet.
    """
    if level == 0:
        return F.lit(None).cast("string")
    folders = _folders()
    return F.try_element_at(folders, F.lit(-level))


def _folders() -> Column:
    """Return the SQL of the folders that a file is in, the one at the top first."""
    name = F.col("fileName")
    name = F.when(F.contains(name, F.lit("://")), F.substring_index(name, "?", 1)).otherwise(name)
    path = F.regexp_replace(name, BEYOND_PATH, "$1")
    path = F.when(path.rlike(f"^{WINDOWS_PATH}$"), F.translate(path, "\\", "/")).otherwise(path)
    parts = F.filter(F.split(path, "/"), lambda part: ~part.isin("", "."))
    return F.slice(parts, 1, F.greatest(F.size(parts) - 1, F.lit(0)))


def _at_unusual_depth(names: DataFrame) -> Names:
    """Name the images whose folder is deeper, or less deep, than that of most images with a folder.

    Such a folder is often none of a class: it may be below one (`dog/others/1.jpg`).
    """
    depths = names.select("fileName", F.size(_folders()).alias("depth")).where("depth > 0")
    text = "these images are in a folder at another depth than most, so their label may be wrong"
    found = {row["depth"]: row["count"] for row in depths.groupBy("depth").count().collect()}
    if len(found) < 2:
        return Names(text, 0, ())
    usual = min(found, key=lambda depth: (-found[depth], depth))
    return _first_names(text, depths.where(F.col("depth") != usual))


def _by_pattern(names: DataFrame, pattern: str) -> DataFrame:
    rows = names.mapInArrow(partial(_match_batches, pattern), IMAGE_LABELS.schema)
    wrong: Any = rows.where("split not in ('train', 'test')").head()
    if wrong is not None:
        raise UserError(
            f"`label_pattern` {pattern!r} finds the split {wrong.split!r} in {wrong.fileName!r}. "
            "A split is train or test."
        )
    return rows


def _match_batches(pattern: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        names = batch["fileName"]
        yield pa.record_batch({"fileName": names, **match_names(names, pattern)})


def _by_file(names: DataFrame, file: LabelFile) -> ImageLabels:
    rows = names.sparkSession.createDataFrame(file.rows)
    forms = F.array_distinct(F.array(*_NAME_FORMS))
    tried = rows.select("row", F.posexplode(forms).alias("rank", "fileName"))
    known = tried.join(names, "fileName").groupBy("row").agg(F.min_by("fileName", "rank").alias("known"))
    named = rows.join(known, "row", "left").select(
        F.coalesce("known", "path").alias("fileName"), "row", F.struct("label", "split").alias("said")
    )
    said = named.groupBy("fileName").agg(
        F.min("said").alias("said"), (F.min("said") != F.max("said")).alias("differs")
    )
    _require_one_label(named, said, file)
    said = said.union(_said_of_pages(names, said))
    joined = names.withColumn("isImage", F.lit(True)).join(said, "fileName", "full")
    unknown = _first_names(f"no image has these names in {file.shown}", joined.where("isImage is null"))
    if unknown.total and unknown.total == said.count():
        raise UserError(
            f"{file.shown} names no image of the source: it has {unknown.first[0]!r}, the source has "
            f"{names.agg(F.min('fileName')).head()[0]!r}. Write names relative to the source."  # type: ignore[index]
        )
    return ImageLabels(
        joined.where("isImage").select(
            "fileName", *(F.nullif(f"said.{name}", F.lit("")).alias(name) for name in ("label", "split"))
        ),
        {
            "unknown_names": unknown,
            "images_without_row": _first_names(
                f"{file.shown} has no row for these images", joined.where("said is null")
            ),
        },
    )


def _said_of_pages(names: DataFrame, said: DataFrame) -> DataFrame:
    """Let a page of a file that has no row of its own have what is said of the file."""
    pages = names.where(F.col("fileName").rlike(PAGE_SUFFIX)).join(said, "fileName", "left_anti")
    of_files = said.withColumnRenamed("fileName", "file")
    file = F.regexp_replace("fileName", PAGE_SUFFIX, "")
    return pages.join(of_files, file == F.col("file")).select(said.columns)


def _require_one_label(named: DataFrame, said: DataFrame, file: LabelFile) -> None:
    differing = said.where("differs")
    first = [row.fileName for row in differing.orderBy("fileName").limit(_NAMED_CONFLICTS).collect()]
    if not first:
        return
    rows = named.where(F.col("fileName").isin(first)).orderBy("fileName", "row").collect()
    by_name: dict[str, dict[str, str]] = {}
    for row in rows:
        text = ", ".join(filter(None, row.said)) or "nothing"
        by_name.setdefault(row.fileName, {}).setdefault(text, file.place(row.row))
    conflicts = "; ".join(
        f"{name!r} is " + " and ".join(f"{text} ({place})" for text, place in texts.items())
        for name, texts in by_name.items()
    )
    more = differing.count() - len(first)
    raise UserError(
        f"{file.shown} says different things of the same image: {conflicts}"
        f"{f'; and {more:,} more images' if more else ''}. Keep one row of each."
    )


def _first_names(text: str, rows: DataFrame) -> Names:
    total = rows.count()
    first = rows.select("fileName").orderBy("fileName").limit(_NAMED_IMAGES).collect() if total else []
    return Names(text, total, tuple(row.fileName for row in first))


def count_labels(rows: DataFrame, limit: int) -> dict[str, int]:
    """Count the images of the labels that have most of them.

    Parameters
    ----------
    rows : DataFrame
        With the schema of `IMAGE_LABELS`.
    limit : int
        How many labels.

    Returns
    -------
    dict
        Label to number of images, the largest first.
    """
    counted = rows.where("label is not null").groupBy("label").count()
    largest = counted.orderBy(F.desc("count"), "label").limit(limit).collect()
    return {row["label"]: row["count"] for row in largest}
