"""The assets of classifiers' predictions."""

import dagster as dg

from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import read_ancestor, step_asset
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.predictions import predict
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.splits import TEST, SplitOptions, split_images, usable_images
from vision_assets.steps.stored_tables import StoredTable


def make_definitions(spec: StepSpec) -> dg.Definitions:
    """Make the asset of the predictions of an extractor's classifier."""
    step = spec.step
    encoding = step.encoding
    assert encoding  # noqa: S101 - a classifier is trained on encodings

    @step_asset(spec)
    def predictions(context: dg.AssetExecutionContext, classifier: StoredTable) -> NewTable:
        with failures():
            encodings, features = (
                read_ancestor(context, classifier, step.ancestors[name]) for name in ("encodings", "features")
            )
            model = classifier.classifier()
        options = SplitOptions.from_config(model.settings)
        subsets = split_images(usable_images(features.rows, options), options)
        rows = predict(vectors_of(encodings.rows, encoding), subsets.where(f"subset = '{TEST}'"), model)
        return NewTable(rows, inputs=(classifier, encodings, features))

    return dg.Definitions(assets=[predictions])
