"""The assets of classifiers' predictions."""

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import read_ancestors, step_asset
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.predictions import predict
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.splits import TEST, SplitOptions, labelled_images, split_images, usable_images
from vision_assets.steps.stored_tables import StoredTable


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the predictions of an extractor's classifier."""
    config_type = config_of(spec, collection.settings)
    step = spec.step
    encoding = step.encoding
    assert encoding  # noqa: S101 - a classifier is trained on encodings

    @step_asset(spec, collection)
    def predictions(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type] # what all assets have
        classifier: StoredTable,
    ) -> NewTable:
        with failures():
            ancestors = read_ancestors(context, classifier, step)
            model = classifier.classifier()
        encodings, features = ancestors["encodings"], ancestors["features"]
        labels = ancestors["labels"].rows if "labels" in ancestors else None
        options = SplitOptions.from_config(model.settings)
        images = labelled_images(features.rows, labels)
        subsets = split_images(usable_images(images, options), options)
        rows = predict(vectors_of(encodings.rows, encoding), subsets.where(f"subset = '{TEST}'"), model)
        return NewTable(rows, inputs=(classifier, *ancestors.values()))

    return dg.Definitions(assets=[predictions])
