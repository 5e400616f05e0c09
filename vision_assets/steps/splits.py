"""Which images a classifier is trained on and which it is tested on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.vision.options import Options, option

TRAIN, TEST, DUPLICATE, UNUSED = "train", "test", "duplicate", "unused"
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class SplitOptions(Options):
    """How images are split into those to train on and those to test on."""

    split: Literal["random", "folder", "labels"] = option(
        "random",
        "`random` splits by the seed; `folder` uses the folders `train` and `test` at the top of the source; "
        "`labels` uses the column `split` of image_labels. The last two ignore train_per_class, "
        "test_per_class, seed and splits.",
    )
    train_per_class: int = option(
        30,
        "Training images per class. A class with no more images than that trains on two thirds of them.",
        ge=1,
    )
    test_per_class: int | None = option(
        50, "Largest number of test images per class; null takes all that remain.", ge=1
    )
    exclude_labels: tuple[str, ...] = option(
        (), "Classes to leave out, such as Caltech's BACKGROUND_Google or 257.clutter."
    )
    seed: int = option(0, "Random seed of the splits.", ge=0, le=2**63 - 1)
    splits: int = option(
        3,
        "Number of random splits. The report gives means over them; `predict` uses the model of the first.",
        ge=1,
        le=100,
    )

    @property
    def n_splits(self) -> int:
        """Number of splits."""
        return self.splits if self.split == "random" else 1


def split_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide which images are trained on and which are tested.

    Parameters
    ----------
    config : mapping
        Configuration of a run, perhaps of an earlier release. A missing field has its default.

    Returns
    -------
    dict
        Without the fields that are ignored; equal for equal splits of the same images.
    """
    settings = {each.name: config.get(each.name, each.default) for each in fields(SplitOptions)}
    settings["exclude_labels"] = sorted(settings["exclude_labels"])
    used = settings if settings["split"] == "random" else ("split", "exclude_labels")
    return {name: settings[name] for name in used}


def labelled_images(features: DataFrame, labels: DataFrame | None) -> DataFrame:
    """Join images with their labels.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``label``, ``digest``, ``error``.
    labels : DataFrame, optional
        Columns ``fileName``, ``label``, ``split``. None takes the labels of the features, names of folders:
        classifiers of earlier releases learnt them.

    Returns
    -------
    DataFrame
        Columns ``fileName``, ``label``, ``digest``, ``error``, ``given`` (``train``, ``test`` or null: the
        subset that the labels give the image), one row per row of the features.
    """
    if labels is None:
        return features.select(
            "fileName", "label", "digest", "error", F.lit(None).cast("string").alias("given")
        )
    said = labels.select("fileName", "label", F.col("split").alias("given"))
    images = features.select("fileName", "digest", "error")
    return images.join(said, "fileName", "left").select("fileName", "label", "digest", "error", "given")


def usable_images(images: DataFrame, options: SplitOptions) -> DataFrame:
    """Choose the images that can take part: readable ones with a label that is not excluded.

    Parameters
    ----------
    images : DataFrame
        From `labelled_images`.
    options : SplitOptions

    Returns
    -------
    DataFrame
        Columns ``fileName``, ``label``, ``digest``, ``given``.
    """
    return images.where(_usable(options)).select("fileName", "label", "digest", "given")


def _usable(options: SplitOptions) -> Column:
    labelled = F.col("error").isNull() & F.col("label").isNotNull()
    return labelled & ~F.col("label").isin(*options.exclude_labels)


def split_images(images: DataFrame, options: SplitOptions) -> DataFrame:
    """Assign each image to a subset of each split.

    The subset depends on the seed, the number of the split, and the names of a class's images and their
    copies. Identical images count as one when they are ordered. An image is not tested if a copy of it is
    trained on.

    Parameters
    ----------
    images : DataFrame
        From `usable_images`.
    options : SplitOptions

    Returns
    -------
    DataFrame
        Columns ``split``, ``fileName``, ``label``, ``subset``: ``train``, ``test``, ``duplicate`` (an image
        of which a copy is trained on) or ``unused`` (beyond what is asked for; the only image of a class; in
        neither of the two folders; without a split in the labels).
    """
    chosen = _by_chance(images, options) if options.split == "random" else _as_given(images, options)
    trained_on = F.max(F.col("train")).over(Window.partitionBy("split", "digest"))
    candidate = ~F.col("train") & F.col("test") & ~F.col("trained_on")
    place = F.count_if("candidate").over(Window.partitionBy("split", "label").orderBy("order", "fileName"))
    limit = options.test_per_class or _NO_LIMIT if options.split == "random" else _NO_LIMIT
    return (
        chosen.withColumn("trained_on", trained_on)
        .withColumn("candidate", candidate)
        .withColumn("place", place)
        .select(
            "split",
            "fileName",
            "label",
            F.when(F.col("train"), TRAIN)
            .when(F.col("test") & F.col("trained_on"), DUPLICATE)
            .when(F.col("candidate") & (F.col("place") <= limit), TEST)
            .otherwise(UNUSED)
            .alias("subset"),
        )
    )


def _by_chance(images: DataFrame, options: SplitOptions) -> DataFrame:
    splits = images.sparkSession.range(options.splits).select(F.col("id").cast("int").alias("split"))
    first_copy = F.min("fileName").over(Window.partitionBy("digest"))
    ordered = (
        images.withColumn("first_copy", first_copy)
        .crossJoin(F.broadcast(splits))
        .withColumn("order", F.xxhash64(F.lit(options.seed), "split", "first_copy"))
    )
    of_class = Window.partitionBy("split", "label")
    size = F.count("*").over(of_class)
    wanted = F.when(size > options.train_per_class, options.train_per_class).otherwise(
        F.greatest(F.lit(1), F.floor(size * 2 / 3))
    )
    return (
        ordered.withColumn("size", size)
        .withColumn("wanted", wanted)
        .withColumn("rank", F.row_number().over(of_class.orderBy("order", "first_copy", "fileName")))
        .withColumn("train", (F.col("rank") <= F.col("wanted")) & (F.col("size") > 1))
        .withColumn("test", ~F.col("train") & (F.col("size") > 1))
    )


def _as_given(images: DataFrame, options: SplitOptions) -> DataFrame:
    subset = F.col("given") if options.split == "labels" else _top_folder()
    return (
        images.withColumn("split", F.lit(0))
        .withColumn("order", F.lit(0))
        .withColumn("train", F.coalesce(subset == TRAIN, F.lit(False)))
        .withColumn("test", F.coalesce(subset == TEST, F.lit(False)))
    )


def _top_folder() -> Column:
    parts = F.split("fileName", "/")
    # A file directly in one of the two folders has no folder of its own to be labelled by.
    is_labelled_by_it = (F.size(parts) == 2) & (F.col("label") == parts[0])
    return F.when((F.size(parts) > 1) & ~is_labelled_by_it, parts[0])


def count_parts(images: DataFrame, options: SplitOptions) -> dict[str, int]:
    """Count the images that cannot take part, by the reason, and those that can.

    Parameters
    ----------
    images : DataFrame
        From `labelled_images`.
    options : SplitOptions

    Returns
    -------
    dict
        ``usable_images``, ``images_with_an_error``, ``images_without_label``, ``excluded_images``.
    """
    excluded = F.col("label").isin(*options.exclude_labels)
    found: Any = images.agg(
        F.count_if(_usable(options)),
        F.count_if(F.col("error").isNotNull()),
        F.count_if(F.col("error").isNull() & F.col("label").isNull()),
        F.count_if(F.col("error").isNull() & excluded),
    ).head()
    names = ("usable_images", "images_with_an_error", "images_without_label", "excluded_images")
    return dict(zip(names, found, strict=True))


def unknown_labels(images: DataFrame, labels: Sequence[str]) -> list[str]:
    """Return those of some labels that no image has."""
    if not labels:
        return []
    known = images.where(F.col("label").isin(*labels)).select("label").distinct().collect()
    return sorted(set(labels) - {row["label"] for row in known})


def count_subsets(subsets: DataFrame) -> dict[tuple[int, str, str], int]:
    """Count the images of each split, label and subset.

    Parameters
    ----------
    subsets : DataFrame
        From `split_images`.

    Returns
    -------
    dict
        (split, label, subset) to number of images, where there are any.
    """
    rows = subsets.groupBy("split", "label", "subset").count().collect()
    return {(row["split"], row["label"], row["subset"]): row["count"] for row in rows}
