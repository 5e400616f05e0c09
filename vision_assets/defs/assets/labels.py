"""The asset of the labels of images."""

from typing import Any

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.step_asset import step_asset
from vision_assets.steps.labels import LabelOptions, Names, count_labels, label_images
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable

_SHOWN_LABELS = 20
_LOGGED_NAMES = 3


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the labels of the images."""
    config_type = config_of(spec, collection.settings)

    @step_asset(spec, collection, reads_more=lambda config: bool(config["labels"]))
    def labels(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        images: StoredTable,
    ) -> NewTable:
        with failures():
            found = label_images(images.rows, config.options(LabelOptions))  # type: ignore[attr-defined]
            per_label = count_labels(found.rows, _SHOWN_LABELS)
        for names in found.names.values():
            if names.total:
                context.log.warning(_sentence(names))
        metadata = _table("images_per_label", [{"label": name, "images": n} for name, n in per_label.items()])
        for kind, names in found.names.items():
            metadata[f"{kind}_total"] = names.total
            metadata |= _table(kind, [{"fileName": name} for name in names.first])
        return NewTable(found.rows, inputs=(images,), metadata=metadata)

    return dg.Definitions(assets=[labels])


def _sentence(names: Names) -> str:
    first = ", ".join(map(repr, names.first[:_LOGGED_NAMES]))
    return f"{names.text} ({names.total:,}): {first}{', …' if names.total > _LOGGED_NAMES else ''}"


def _table(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a table as metadata; nothing if it has no rows, whose columns nobody would know."""
    return {name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows])} if rows else {}
