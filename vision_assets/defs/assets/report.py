"""The assets of reports on classifiers."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Row

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.report_checks import accuracy_kept_check, better_than_chance_check
from vision_assets.defs.step_asset import read_ancestors, step_asset
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.errors import UserError
from vision_assets.steps.images import sample_of
from vision_assets.steps.pictures.report import draw_examples
from vision_assets.steps.report import confusion_matrices, report_rows, surest_wrong
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.splits import (
    TEST,
    SplitOptions,
    count_subsets,
    labelled_images,
    split_images,
    usable_images,
)
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.vision.classification.metrics import accuracy, class_figures, most_confused
from vision_assets.vision.draw import confusion_matrix

_NAMED_CLASSES = 10
_NAMED_PAIRS = 20
_NAMED_IMAGES = 10


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the report on an extractor's classifier, and its checks."""
    config_type = config_of(spec, collection.settings)
    step = spec.step

    @step_asset(spec, collection)
    def report(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type] # for the checks, which read it from the manifest
        data_folder: TableStoreResource,
        predictions: StoredTable,
    ) -> NewTable:
        with failures():
            ancestors = read_ancestors(context, predictions, step)
            classifier = ancestors["classifier"]
            model = classifier.classifier()
            if data_folder.store.current((classifier.asset,)) != classifier.snapshot:
                context.log.warning(
                    f"There is a newer {classifier.asset} than the one that {predictions.asset} was made "
                    f"from. Materialize {predictions.asset} again for a report on it."
                )
        labels, rows = model.labels, predictions.rows
        images, features = ancestors["images"], ancestors["features"]
        options = SplitOptions.from_config(model.settings)
        labelled = ancestors["labels"].rows if "labels" in ancestors else None
        usable = usable_images(labelled_images(features.rows, labelled), options)
        subsets = split_images(usable, options)
        with failures():
            counts = count_subsets(subsets)
            confusions = confusion_matrices(rows, model.splits, labels)
            _require_test_images(confusions, classifier.asset)
            wrong = surest_wrong(rows, labels, _NAMED_IMAGES)
            pictures = data_folder.render_pictures(
                lambda: {"confusion_matrix": confusion_matrix(confusions.sum(axis=0), labels)}
            ) | data_folder.render_pictures(
                lambda: {"surest_images": draw_examples(sample_of(images), rows, labels)}
            )
        unknown = sum(n for (_, label, subset), n in counts.items() if subset == TEST and label not in labels)
        if unknown:
            context.log.warning(
                f"{unknown:,} test images belong to classes without any training image; they are left out."
            )
        untested = [label for label, row in zip(labels, confusions.sum(axis=0), strict=True) if not row.any()]
        if untested:
            context.log.warning(
                f"no test image belongs to the classes {', '.join(untested[:_NAMED_CLASSES])}"
            )
        table = report_rows(predictions.spark, labels, confusions, counts)
        named = {"surest_wrong": _named(wrong)} if wrong else {}
        metadata = {**pictures, **_metadata(labels, confusions), "test_images_of_unknown_classes": unknown}
        return NewTable(
            table,
            inputs=(predictions, *ancestors.values()),
            counts=_counts(confusions),
            metadata=metadata | named,
        )

    return dg.Definitions(
        assets=[report],
        asset_checks=[better_than_chance_check(spec, collection), accuracy_kept_check(spec, collection)],
    )


def _require_test_images(confusions: NDArray[np.int64], classifier: str) -> None:
    if not confusions.any(axis=(1, 2)).all():
        raise UserError(
            f"There is no test image. Lower `train_per_class` of {classifier}, with `split: folder` put "
            "images of the same classes into the folder `test`, or with `split: labels` give them the "
            "split test."
        )


def _counts(confusions: NDArray[np.int64]) -> dict[str, float]:
    if len(confusions) == 1:  # undefined for a single split; 0 would suggest certainty
        return {}
    return {"std_of_mean_per_class_accuracy": accuracy(confusions).std_per_class}


def _metadata(labels: tuple[str, ...], confusions: NDArray[np.int64]) -> dict[str, Any]:
    figures = accuracy(confusions)
    total = confusions.sum(axis=0)
    pairs = [
        dg.TableRecord({"class": labels[true], "classified as": labels[predicted], "images": count})
        for true, predicted, count in most_confused(total, _NAMED_PAIRS)
    ]
    return {
        "macro_f1": figures.macro_f1,
        "chance_level": figures.chance,
        "majority_class_accuracy": figures.majority,
        "majority_class": labels[figures.majority_class],
        "worst_and_best_classes": dg.MetadataValue.table(_worst_and_best(labels, total)),
        **({"most_confused_pairs": dg.MetadataValue.table(pairs)} if pairs else {}),
    }


def _named(images: Sequence[Row]) -> dg.MarkdownMetadataValue:
    """Name images that are classified wrong, in lines: a table would not fit into Dagster's page."""
    lines = [
        f"- `{image.fileName}`: {image.label}, said {image.predicted}, {image.score:.2f}" for image in images
    ]
    return dg.MetadataValue.md("\n".join(lines))


def _worst_and_best(labels: tuple[str, ...], confusion: NDArray[np.int64]) -> list[dg.TableRecord]:
    """List the classes in the order of their recall; if there are many, the first and the last.

    The stored table has more figures of each; these columns fit into Dagster's page beside the key.
    """
    figures = class_figures(confusion)
    tested = np.flatnonzero(figures.support)
    order = tested[np.lexsort((figures.f1[tested], figures.recall[tested]))]
    if len(order) > 2 * _NAMED_CLASSES:
        order = np.concatenate([order[:_NAMED_CLASSES], order[-_NAMED_CLASSES:]])
    return [
        dg.TableRecord(
            {
                "class": labels[index],
                "recall": round(float(figures.recall[index]), 3),
                "precision": "" if np.isnan(figures.precision[index]) else f"{figures.precision[index]:.3f}",
                "n": int(figures.support[index]),
            }
        )
        for index in order
    ]
