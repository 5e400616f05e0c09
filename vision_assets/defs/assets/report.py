"""The assets of reports on classifiers."""

from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from vision_assets.defs.config import config_of
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.step_asset import read_ancestor, step_asset
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.errors import UserError
from vision_assets.steps.classifier import predict
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.images import sample_of
from vision_assets.steps.pictures.report import draw_examples
from vision_assets.steps.report import confusion_matrices, report_rows
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.splits import TEST, SplitOptions, count_subsets, split_images, usable_images
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.vision.classification.metrics import accuracy, class_figures, most_confused
from vision_assets.vision.draw import confusion_matrix

_NAMED_CLASSES = 10
_NAMED_PAIRS = 20


def make_definitions(spec: StepSpec) -> dg.Definitions:
    """Make the asset of the report on an extractor's classifier, and its check."""
    step = spec.step
    encoding = step.encoding
    assert encoding  # noqa: S101 - a classifier is trained on encodings
    config_type = config_of(spec)

    @step_asset(spec)
    def report(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        data_folder: TableStoreResource,
        classifier: StoredTable,
    ) -> NewTable:
        with failures():
            ancestors = {
                name: read_ancestor(context, classifier, asset) for name, asset in step.ancestors.items()
            }
            model = classifier.classifier()
        labels = model.labels
        images, encodings, features = (ancestors[name] for name in ("images", "encodings", "features"))
        options = SplitOptions.from_config(model.settings)
        subsets = split_images(usable_images(features.rows, options), options)
        with failures():
            counts = count_subsets(subsets)
            tested = subsets.where(f"subset = '{TEST}'")
            predictions = predict(vectors_of(encodings.rows, encoding), tested, model).persist()
            try:
                confusions = confusion_matrices(predictions, model.splits, len(labels))
                _require_test_images(confusions, classifier.asset)
                pictures = data_folder.render_pictures(
                    lambda: {"confusion_matrix": confusion_matrix(confusions.sum(axis=0), labels)}
                ) | data_folder.render_pictures(
                    lambda: {"surest_images": draw_examples(sample_of(images), predictions, labels)}
                )
            finally:
                predictions.unpersist()
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
        context.add_output_metadata(
            _metadata(labels, confusions) | {"test_images_of_unknown_classes": unknown} | pictures
        )
        rows = report_rows(encodings.spark, labels, confusions, counts)
        return NewTable(rows, inputs=(classifier, *ancestors.values()))

    return dg.Definitions(assets=[report], asset_checks=[_better_than_chance(spec)])


def _require_test_images(confusions: NDArray[np.int64], classifier: str) -> None:
    if not confusions.any(axis=(1, 2)).all():
        raise UserError(
            f"There is no test image. Lower `train_per_class` of {classifier}, or with `split: folder` put "
            "images of the same classes into the folder `test`."
        )


def _metadata(labels: tuple[str, ...], confusions: NDArray[np.int64]) -> dict[str, Any]:
    figures = accuracy(confusions)
    total = confusions.sum(axis=0)
    pairs = [
        dg.TableRecord({"class": labels[true], "classified as": labels[predicted], "images": count})
        for true, predicted, count in most_confused(total, _NAMED_PAIRS)
    ]
    return {
        # Undefined for a single split; 0 would suggest certainty.
        **({"std_of_mean_per_class_accuracy": figures.std_per_class} if len(confusions) > 1 else {}),
        "macro_f1": figures.macro_f1,
        "chance_level": figures.chance,
        "majority_class_accuracy": figures.majority,
        "majority_class": labels[figures.majority_class],
        "worst_and_best_classes": dg.MetadataValue.table(_worst_and_best(labels, total)),
        **({"most_confused_pairs": dg.MetadataValue.table(pairs)} if pairs else {}),
    }


def _worst_and_best(labels: tuple[str, ...], confusion: NDArray[np.int64]) -> list[dg.TableRecord]:
    """List the classes in the order of their recall; if there are many, the first and the last."""
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
                "f1": round(float(figures.f1[index]), 3),
                "test images, all splits": int(figures.support[index]),
            }
        )
        for index in order
    ]


def _better_than_chance(spec: StepSpec) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="better_than_chance",
        asset=spec.asset,
        description="The mean accuracy of the classes is above the chance level, 1 / number of classes.",
        retry_policy=RETRY_POLICY,
    )
    def better_than_chance(data_folder: TableStoreResource) -> dg.AssetCheckResult:
        """Warn when a classifier has learnt nothing."""
        with failures():
            counts = data_folder.store.require_current((spec.asset,)).counts
        reached, chance = counts["mean_per_class_accuracy"], 1 / counts["classes"]
        return dg.AssetCheckResult(
            passed=reached > chance,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"mean_per_class_accuracy": reached, "chance_level": chance},
        )

    return better_than_chance
