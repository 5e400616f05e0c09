"""The asset graph as values that JSON can hold: the one agreed on, and the one that screenshots show."""

from pathlib import Path
from typing import Any

import dagster as dg

from vision_assets.collection import open_collection
from vision_assets.definitions import make_definitions
from vision_assets.pipelines import DEFAULT_EXTRACTOR, select_pipelines

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SHOWN_GRAPH = IMAGES / "graph.json"
"""The graph at the time when the pictures beside it were taken."""

_NOT_SHOWN = {"code_version", "automated"}


def shown_definitions() -> dg.Definitions:
    """Return what the screenshots show: the definitions of an installation without settings."""
    return make_definitions(select_pipelines([DEFAULT_EXTRACTOR]), open_collection())


def shown_graph() -> dict[str, Any]:
    """Return what makes the screenshots look old when it changes."""
    definitions = shown_definitions()
    assets = {
        asset: {name: value for name, value in described.items() if name not in _NOT_SHOWN}
        for asset, described in graph_of(definitions).items()
    }
    return {"assets": assets, "jobs": sorted(job.name for job in definitions.jobs or [])}


def graph_of(definitions: dg.Definitions) -> dict[str, dict[str, Any]]:
    """Return all assets by their names."""
    assets = definitions.resolve_asset_graph()
    return {
        key.to_user_string(): {
            "deps": sorted(dep.to_user_string() for dep in assets.get(key).parent_keys),
            "group": assets.get(key).group_name,
            "kinds": sorted(assets.get(key).kinds),
            "owners": list(assets.get(key).owners),
            "tags": {
                name: value for name, value in assets.get(key).tags.items() if not name.startswith("dagster/")
            },
            "code_version": assets.get(key).code_version,
            "description": assets.get(key).description,
            "automated": assets.get(key).automation_condition is not None,
            "checks": sorted(
                f"{check.name}{' (blocking)' if assets.get(check).blocking else ''}"
                for check in assets.get(key).check_keys
            ),
            "columns": [
                f"{column.name}: {column.type}"
                for column in assets.get(key).metadata["dagster/column_schema"].columns
            ],
        }
        for key in sorted(assets.get_all_asset_keys())
    }
