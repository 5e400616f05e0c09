"""The assets of encodings, one vector per image."""

from collections.abc import Callable

import dagster as dg
from pyspark.sql import DataFrame

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import step_asset
from vision_assets.errors import UserError
from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.encodings import encode_features
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.tables.per_image import PendingRows, PerImageTable, select_pending, with_file_path
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.base import ExtractorOptions


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of an encoding of an extractor's features."""
    extractor, encoding = spec.step.extractor, spec.step.encoding
    assert extractor and encoding  # noqa: PT018, S101 - a step of encodings has both
    config_type = config_of(spec, collection.settings.get(spec.asset))

    @step_asset(spec, collection)
    def encodings(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        features: StoredTable,
        dictionary: StoredTable,
    ) -> NewTable:
        with failures():
            _require_one_descriptor_space(extractor, features, dictionary, context.log.warning)

        def compute(pending: PendingRows | None) -> DataFrame:
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
            settings=config.model_dump(exclude={"full_refresh"}),  # type: ignore[attr-defined]
            computed="encoded",
            # A full refresh may give features to an image that had too little memory before.
            same={"keypointCount": "descriptorCount"},
        )
        return NewTable(table, inputs=(features, dictionary))

    return dg.Definitions(assets=[encodings])


def _require_one_descriptor_space(
    extractor: type[ExtractorOptions],
    features: StoredTable,
    dictionary: StoredTable,
    warn: Callable[[str], object],
) -> None:
    """Raise a `UserError` if the words were trained on descriptors that cannot be compared with these."""

    def space_of(snapshot: Snapshot) -> str:
        return extractor.from_config(snapshot.config).descriptor_space()

    trained_on = dictionary.store.input_of(dictionary.snapshot, (features.asset,))
    if trained_on is None:
        warn(f"The features that {dictionary.snapshot.uri} was trained on are gone; it may not fit.")
    elif (theirs := space_of(trained_on)) != (ours := space_of(features.snapshot)):
        raise UserError(
            f"The dictionary {dictionary.snapshot.uri} was trained on {theirs}, but the features "
            f"{features.snapshot.uri} are {ours}. {theirs} and {ours} descriptors are not comparable. "
            f"Materialize {dictionary.asset} from these features first."
        )
