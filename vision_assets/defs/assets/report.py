"""How good the classifier is."""

from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from vision_assets.defs.assets.classifier import ImageClassifierConfig
from vision_assets.defs.chain_asset import chain_asset
from vision_assets.defs.failures import failures
from vision_assets.defs.io_managers import LINEAGE_OF, TableStoreResource
from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, Pipeline
from vision_assets.steps.classifier import predict
from vision_assets.steps.pictures.pictures import picture_of_examples
from vision_assets.steps.pictures.sample import ImageSample
from vision_assets.steps.report import confusion_matrices, report_table
from vision_assets.steps.splits import TEST, count_subsets, split_images, usable_images
from vision_assets.steps.stored_tables import ImageStore
from vision_assets.vision.classification.linear import Classifier
from vision_assets.vision.classification.metrics import accuracy, class_figures, most_confused
from vision_assets.vision.draw import confusion_matrix

_NAMED_CLASSES = 10
_NAMED_PAIRS = 20


def make_classification_report(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Make the asset of the report on an extractor's classifier."""
    of_classifier = {LINEAGE_OF: pipeline.classifier}

    @chain_asset(
        pipeline,
        pipeline.report,
        kinds={"pyspark", "numpy", "parquet"},
        code_version="1",
        ins={
            "classifier": dg.AssetIn(pipeline.classifier),
            "images": dg.AssetIn(IMAGE_ASSET, metadata=of_classifier),
            "encodings": dg.AssetIn(pipeline.encodings, metadata=of_classifier),
            "features": dg.AssetIn(pipeline.features, metadata=of_classifier),
        },
    )
    def classification_report(
        context: dg.AssetExecutionContext,
        data_folder: TableStoreResource,
        classifier: Classifier,
        images: ImageStore,
        encodings: DataFrame,
        features: DataFrame,
    ) -> DataFrame:
        """Precision, recall, F1, support and confusions of each class and split, on images not trained on."""
        labels = classifier.labels
        options = ImageClassifierConfig(**classifier.settings).split_options()
        subsets = split_images(usable_images(features, options), options)
        with failures():
            counts = count_subsets(subsets)
            predictions = predict(encodings, subsets.where(f"subset = '{TEST}'"), classifier).persist()
            try:
                confusions = confusion_matrices(predictions, classifier.splits, len(labels))
                _require_test_images(confusions, pipeline)
                pictures = data_folder.render_pictures(
                    lambda: {"confusion_matrix": confusion_matrix(confusions.sum(axis=0), labels)}
                ) | data_folder.render_pictures(
                    lambda: {"surest_images": picture_of_examples(ImageSample(images), predictions, labels)}
                )
            finally:
                predictions.unpersist()
        unknown = sum(n for (_, label, subset), n in counts.items() if subset == TEST and label not in labels)
        if unknown:
            context.log.warning(
                f"{unknown:,} images to test are of classes without any image to train on; they are left out."
            )
        untested = [label for label, row in zip(labels, confusions.sum(axis=0), strict=True) if not row.any()]
        if untested:
            context.log.warning(
                f"no image to test on is of the classes {', '.join(untested[:_NAMED_CLASSES])}"
            )
        context.add_output_metadata(
            _metadata(labels, confusions) | {"test_images_of_unknown_classes": unknown} | pictures
        )
        return report_table(encodings.sparkSession, labels, confusions, counts)

    return classification_report


def _require_test_images(confusions: NDArray[np.int64], pipeline: Pipeline) -> None:
    if not confusions.any(axis=(1, 2)).all():
        raise UserError(
            f"There is no image to test on. Lower `train_per_class` of {pipeline.classifier}, or with "
            "`split: folder` put images of the same classes into the folder `test`."
        )


def _metadata(labels: tuple[str, ...], confusions: NDArray[np.int64]) -> dict[str, Any]:
    figures = accuracy(confusions)
    total = confusions.sum(axis=0)
    pairs = [
        dg.TableRecord({"class": labels[true], "classified as": labels[predicted], "images": count})
        for true, predicted, count in most_confused(total, _NAMED_PAIRS)
    ]
    return {
        # Of one split there is none, and 0 would say that it is sure.
        **({"std_of_mean_per_class_accuracy": figures.std_per_class} if len(confusions) > 1 else {}),
        "macro_f1": figures.macro_f1,
        "chance_level": figures.chance,
        "majority_class_accuracy": figures.majority,
        "majority_class": labels[figures.majority_class],
        "worst_and_best_classes": dg.MetadataValue.table(_worst_and_best(labels, total)),
        **({"most_confused_pairs": dg.MetadataValue.table(pairs)} if pairs else {}),
    }


def _worst_and_best(labels: tuple[str, ...], confusion: NDArray[np.int64]) -> list[dg.TableRecord]:
    """List the classes in the order of their recall; of many the first and the last."""
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
