"""A linear classifier on the encodings."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

import dagster as dg
from pydantic import Field
from pyspark.sql import DataFrame

from vision_assets.assets.chain_asset import chain_asset
from vision_assets.assets.settings import Settings
from vision_assets.chains import Chain
from vision_assets.errors import UserError
from vision_assets.failures import failures
from vision_assets.spark.classification import TrainingOptions, train_classifier
from vision_assets.spark.progress import Progress, show
from vision_assets.spark.splits import (
    COPY,
    SPARE,
    TEST,
    TRAIN,
    SplitOptions,
    count_parts,
    count_sides,
    split_images,
    unknown_labels,
    usable_images,
)
from vision_assets.storage.io_managers import LINEAGE_OF
from vision_assets.vision.feature_maps import FeatureMap


class ImageClassifierConfig(Settings):
    """How images are split and how the classifier is trained."""

    split: Literal["random", "folder"] = Field(
        default="random",
        description="`random` chooses by the seed; `folder` takes the folders `train` and `test` at the "
        "top of the source, whole: train_per_class, test_per_class, seed and splits have no meaning then.",
    )
    train_per_class: int = Field(
        default=30,
        ge=1,
        description="Images of each class to train on; a class that has no more "
        "trains on two thirds of them.",
    )
    test_per_class: int | None = Field(
        default=50, ge=1, description="Images of each class to test on at most; null takes all the rest."
    )
    exclude_labels: list[str] = Field(
        default=[],
        description="Classes that take no part, such as Caltech's BACKGROUND_Google or 257.clutter.",
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Random seed of the splits.")
    splits: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Number of random splits. The report gives means over them; `predict` uses the first "
        "one's model.",
    )
    feature_map: FeatureMap = Field(
        default="hellinger",
        description="Applied to each encoding first: `none`, `l2` (length 1), `hellinger` (square root "
        "of shares) or `chi2` (explicit map of the chi-square kernel, three values per word).",
    )
    reg_param: float = Field(
        default=1e-4,
        ge=0,
        allow_inf_nan=False,
        description="Regularisation: larger fits the training images less.",
    )
    max_iter: int = Field(
        default=50, ge=1, le=10_000, description="Largest number of iterations of the training."
    )

    def split_options(self) -> SplitOptions:
        """Return the options of the split alone."""
        return SplitOptions(
            split=self.split,
            train_per_class=self.train_per_class,
            test_per_class=self.test_per_class,
            exclude_labels=tuple(self.exclude_labels),
            seed=self.seed,
            splits=self.splits,
        )

    def training_options(self) -> TrainingOptions:
        """Return the options of the training alone."""
        return TrainingOptions(self.feature_map, self.reg_param, self.max_iter)


def make_image_classifier(chain: Chain) -> dg.AssetsDefinition:
    """Make the asset of the classifier on an extractor's encodings."""

    @chain_asset(
        chain,
        chain.classifier,
        io_manager_key="classifier",
        kinds={"pyspark", "numpy"},
        code_version="1",
        ins={
            "encodings": dg.AssetIn(chain.encodings),
            "features": dg.AssetIn(chain.features, metadata={LINEAGE_OF: chain.encodings}),
        },
        output_required=False,
    )
    def image_classifier(
        context: dg.AssetExecutionContext,
        config: ImageClassifierConfig,
        encodings: DataFrame,
        features: DataFrame,
    ) -> Iterator[dg.Output]:
        """Linear models of the labels on the encodings, one for each split; the label is the folder.

        It is skipped where there is nothing to classify: fewer than two labels.
        """
        options = config.split_options()
        with failures():
            parts = count_parts(features, options)
            if unknown := unknown_labels(features, config.exclude_labels):
                context.log.warning(f"exclude_labels names classes that no image has: {', '.join(unknown)}")
            sides = split_images(usable_images(features, options), options)
            counts = count_sides(sides)
            labels = tuple(sorted({label for _, label, side in counts if side == TRAIN}))
            if len(labels) < 2:
                _require_no_setting_at_fault(len(labels), config, parts)
                context.log.warning(
                    f"Nothing to classify: among {parts['usable_images']:,} readable images with a label "
                    f"there are {len(labels)} classes of two images or more. The label is the folder of the "
                    "image."
                )
                return
            context.log.info(
                f"{len(labels):,} classes, {_per_split(counts, TRAIN):,.0f} images to train on in each split"
            )
            classifier = train_classifier(
                encodings,
                sides,
                labels,
                options.rounds,
                config.training_options(),
                context.log.info,
                lambda done: show(
                    Progress(chain.classifier, "splits", done, options.rounds, done == options.rounds)
                ),
            )
        context.add_output_metadata(
            {
                **parts,
                "train_images_per_split": _per_split(counts, TRAIN),
                "test_images_per_split": _per_split(counts, TEST),
                "copies_left_out_per_split": _per_split(counts, COPY),
                "unused_images_per_split": _per_split(counts, SPARE),
            }
        )
        yield dg.Output(replace(classifier, settings=config.model_dump()))

    return image_classifier


def _per_split(counts: Mapping[tuple[int, str, str], int], wanted: str) -> float:
    """Images on a side, mean of the splits."""
    splits = {split for split, _, _ in counts}
    return sum(count for (_, _, side), count in counts.items() if side == wanted) / len(splits)


def _require_no_setting_at_fault(
    classes: int, config: ImageClassifierConfig, parts: Mapping[str, int]
) -> None:
    if config.split == "folder":
        raise UserError(
            f"The folder `train` has {classes} classes, and two are needed. With `split: folder` the source "
            "must have the folders train/<class> and test/<class> at its top; else set `split: random`."
        )
    if parts["excluded_images"]:
        raise UserError(
            f"`exclude_labels` leaves {classes} classes of two images or more, and two are needed: "
            f"{parts['excluded_images']:,} images are excluded, {parts['usable_images']:,} are not."
        )
