"""The assets of encodings, one vector per image."""

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import step_asset
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps.encodings import encode_features
from vision_assets.steps.fit import require_one_descriptor_space
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.tables.per_image import PendingRows, PerImageTable, select_pending, with_file_path
from vision_assets.vision.encoding.image_encoder import ImageEncoder


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of an encoding of an extractor's features."""
    extractor, encoding = spec.step.extractor, spec.step.encoding
    assert extractor and encoding  # noqa: PT018, S101 - a step of encodings has both
    config_type = config_of(spec, collection.settings)

    @step_asset(spec, collection)
    def encodings(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        features: StoredTable,
        dictionary: StoredTable,
    ) -> NewTable:
        with failures():
            require_one_descriptor_space(extractor, features, dictionary, context.log.warning)

        def compute(pending: PendingRows | None) -> MappedRows:
            rows = features.rows if pending is None else select_pending(features.rows, pending)
            encoder = ImageEncoder(
                extractor.from_config(features.snapshot.config),
                load_vocabulary(dictionary.rows, extractor.dtype),
                config.options(encoding),  # type: ignore[attr-defined]
            )
            return encode_features(rows, encoder, f"the dictionary {dictionary.snapshot.uri}")

        table = PerImageTable(
            wanted=with_file_path(features.rows, "keypointCount"),
            compute=compute,
            settings=spec.table_settings(config.model_dump()),  # type: ignore[attr-defined]
            # A full refresh may give features to an image that had too little memory before.
            same={"keypointCount": "descriptorCount"},
        )
        return NewTable(table, inputs=(features, dictionary))

    return dg.Definitions(assets=[encodings])
