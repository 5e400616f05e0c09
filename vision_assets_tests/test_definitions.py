import json
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from vision_assets.assets.kmeans_dictionary import KMeansDictionaryConfig
from vision_assets.assets.sift_features import SiftFeaturesConfig
from vision_assets.definitions import defs
from vision_assets.jobs import bovw_pipeline
from vision_assets.spark.dictionary import KMeansOptions
from vision_assets.vision.sift import SiftOptions

ROOT = Path(__file__).parents[1]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def graph() -> dict[str, object]:
    assets = defs.resolve_asset_graph()
    return {
        key.to_user_string(): {
            "deps": sorted(dep.to_user_string() for dep in assets.get(key).parent_keys),
            "group": assets.get(key).group_name,
            "kinds": sorted(assets.get(key).kinds),
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


def test_the_asset_graph_is_the_one_agreed_on() -> None:
    """After a wanted change, write the new one: `python -m vision_assets_tests.test_definitions`."""
    assert graph() == json.loads(SNAPSHOT.read_text())


def test_everything_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_job_has_every_asset() -> None:
    job = defs.resolve_job_def(bovw_pipeline.name)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(graph())


@pytest.mark.parametrize("config", sorted((ROOT / "run_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_run_configs_fit_the_job(config: Path) -> None:
    assert dg.validate_run_config(
        defs.resolve_job_def(bovw_pipeline.name), yaml.safe_load(config.read_text())
    )


def test_every_setting_has_a_description_and_a_default() -> None:
    job = defs.resolve_job_def(bovw_pipeline.name)
    for name in graph():
        schema: Any = job.get_node_named(name).definition.config_schema
        fields = getattr(schema.config_type, "fields", {})  # of the report, which has no settings
        for field_name, field in fields.items():
            assert field.description, f"{name}.{field_name} has no description"
            assert not field.is_required, f"{name}.{field_name} has no default"


def test_defaults_of_the_configuration_are_those_of_the_options() -> None:
    assert KMeansDictionaryConfig().options() == KMeansOptions()
    assert SiftFeaturesConfig().options() == SiftOptions()


def test_all_three_files_name_the_same_module_and_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    expected = ("vision_assets.definitions", "vision_assets")
    assert (entry["python_module"]["module_name"], entry["python_module"]["location_name"]) == expected
    assert (project["dagster"]["module_name"], project["dagster"]["code_location_name"]) == expected
    dg_project = project["dg"]["project"]
    assert (dg_project["code_location_target_module"], dg_project["code_location_name"]) == expected


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(graph(), indent=2) + "\n")
