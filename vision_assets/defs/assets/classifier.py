"""The assets of classifiers on encodings."""

from collections.abc import Mapping
from dataclasses import replace

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import read_ancestor, step_asset
from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, STEPS
from vision_assets.spark.progress import Progress, show
from vision_assets.steps.classifier import train_classifier
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.fit import require_same_words
from vision_assets.steps.labels import HOW_TO_LABEL
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.splits import (
    DUPLICATE,
    TEST,
    TRAIN,
    UNUSED,
    SplitOptions,
    count_parts,
    count_subsets,
    labelled_images,
    split_images,
    unknown_labels,
    usable_images,
)
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.vision.classification.linear import TrainingOptions


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the classifier on an extractor's encodings."""
    config_type = config_of(spec, collection.settings)
    step = spec.step
    encoding = step.encoding
    assert encoding  # noqa: S101 - a classifier is trained on encodings
    dictionary_asset = STEPS[step.inputs["encodings"]].inputs["dictionary"]

    def require_fit(model: StoredTable, inputs: Mapping[str, StoredTable]) -> None:
        require_same_words(encoding, dictionary_asset, inputs[step.inputs["encodings"]], model)

    @step_asset(spec, collection, require_fit, is_required=False)
    def classifier(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        encodings: StoredTable,
        labels: StoredTable,
    ) -> NewTable | None:
        options = config.options(SplitOptions)  # type: ignore[attr-defined]
        with failures():
            features = read_ancestor(context, encodings, step.ancestors["features"])
            _require_same_images(labels, features, encodings)
            _require_given_split(labels, options)
            images = labelled_images(features.rows, labels.rows)
            parts = count_parts(images, options)
            if unknown := unknown_labels(images, options.exclude_labels):
                context.log.warning(f"exclude_labels names classes that no image has: {', '.join(unknown)}")
            subsets = split_images(usable_images(images, options), options)
            counts = count_subsets(subsets)
            classes = tuple(sorted({label for _, label, subset in counts if subset == TRAIN}))
            if len(classes) < 2:
                _require_no_setting_at_fault(len(classes), options, parts)
                usable = parts["usable_images"]
                why = (
                    "a classifier needs two labels with two readable images each, and the "
                    f"{usable:,} readable images with a label have {'only one' if classes else 'none'}"
                    if usable
                    else "no readable image has a label"
                )
                context.log.warning(f"Nothing to classify: {why}. {HOW_TO_LABEL}")
                return None
            context.log.info(
                f"{len(classes):,} classes, {_per_split(counts, TRAIN):,.0f} images to train on in each split"
            )
            trained = train_classifier(
                vectors_of(encodings.rows, encoding),
                subsets,
                classes,
                options.n_splits,
                config.options(TrainingOptions),  # type: ignore[attr-defined]
                context.log.info,
                lambda done: show(
                    Progress(spec.asset, "splits", done, options.n_splits, done == options.n_splits)
                ),
            )
            dictionary = encodings.upstream(dictionary_asset).snapshot.name
        metadata = {
            **parts,
            "train_images_per_split": _per_split(counts, TRAIN),
            "test_images_per_split": _per_split(counts, TEST),
            "copies_left_out_per_split": _per_split(counts, DUPLICATE),
            "unused_images_per_split": _per_split(counts, UNUSED),
        }
        settings = spec.table_settings(config.model_dump())  # type: ignore[attr-defined]
        content = replace(trained, settings=settings, dictionary=dictionary)
        return NewTable(content, inputs=(encodings, labels, features), metadata=metadata)

    return dg.Definitions(assets=[classifier])


def _per_split(counts: Mapping[tuple[int, str, str], int], wanted: str) -> float:
    """Return the number of images of a subset, mean over the splits."""
    splits = {split for split, _, _ in counts}
    return sum(count for (_, _, subset), count in counts.items() if subset == wanted) / len(splits)


def _require_same_images(labels: StoredTable, features: StoredTable, encodings: StoredTable) -> None:
    if labels.snapshot.keys != features.snapshot.keys:
        raise UserError(
            f"The labels {labels.snapshot.uri} and the features {features.snapshot.uri} are not of the same "
            f"images. Materialize {labels.asset}, {features.asset} and {encodings.asset} from the current "
            f"{IMAGE_ASSET} first."
        )


def _require_given_split(labels: StoredTable, options: SplitOptions) -> None:
    counts = labels.snapshot.counts
    if options.split == "labels" and not (counts["train_images"] and counts["test_images"]):
        raise UserError(
            f"`split: labels` needs labelled images of the splits train and test, but {labels.asset} has "
            f"{counts['train_images']:,} and {counts['test_images']:,}. Fill the column `split` of its file, "
            "or set `split: random`."
        )


def _require_no_setting_at_fault(classes: int, options: SplitOptions, parts: Mapping[str, int]) -> None:
    if options.split == "labels":
        raise UserError(
            f"The readable images of the split train have {classes} classes, and two are needed. Correct the "
            "column `split` of the file of labels, or set `split: random`."
        )
    if options.split == "folder":
        raise UserError(
            f"The folder `train` has {classes} classes, and two are needed. `split: folder` requires the "
            "folders train/<class> and test/<class> at the top of the source. Otherwise set `split: random`."
        )
    if parts["excluded_images"]:
        raise UserError(
            f"`exclude_labels` leaves {classes} classes of two images or more, and two are needed: "
            f"{parts['excluded_images']:,} images are excluded, {parts['usable_images']:,} are not."
        )
