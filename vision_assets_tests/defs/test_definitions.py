import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from vision_assets.cli import main
from vision_assets.definitions import defs
from vision_assets.defs.config import config_of
from vision_assets.defs.jobs import jobs
from vision_assets.pipelines import PIPELINE_OF_ASSET, PIPELINES, Pipeline
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.spec import StepSpec

ROOT = Path(__file__).parents[2]
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
    """After a wanted change, write the new one: `python -m vision_assets_tests.defs.test_definitions`."""
    assert graph() == json.loads(SNAPSHOT.read_text())


def test_everything_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("pipeline_spec", PIPELINES.values(), ids=lambda pipeline_spec: pipeline_spec.name)
def test_a_job_has_the_assets_of_its_extractor(pipeline_spec: Pipeline) -> None:
    job = defs.resolve_job_def(pipeline_spec.job)
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == {"image_seqfile", "image_labels", *pipeline_spec.assets}


def test_every_asset_is_of_a_job() -> None:
    assert set(graph()) == {"image_seqfile", "image_labels", *PIPELINE_OF_ASSET}


@pytest.mark.parametrize("config", sorted((ROOT / "run_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_run_configs_fit_the_job(config: Path) -> None:
    assert dg.validate_run_config(defs.resolve_job_def(jobs["sift"].name), yaml.safe_load(config.read_text()))


def test_the_settings_of_labels_and_splits_in_the_readme_fit_the_job() -> None:
    shown = re.findall(r"`(image_\w+: {config: .*?}})`", (ROOT / "README.md").read_text())
    assert len(shown) == 6
    for ops in shown:
        assert dg.validate_run_config(defs.resolve_job_def(jobs["sift"].name), {"ops": yaml.safe_load(ops)})


@pytest.mark.parametrize("pipeline_spec", PIPELINES.values(), ids=lambda pipeline_spec: pipeline_spec.name)
@pytest.mark.parametrize("config", sorted((ROOT / "run_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_run_configs_can_be_made_those_of_other_extractors(
    config: Path, pipeline_spec: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--extractor", pipeline_spec.name, str(config)]) == 0
    made = yaml.safe_load(capsys.readouterr().out)
    assert dg.validate_run_config(defs.resolve_job_def(pipeline_spec.job), made)


def test_what_another_extractor_does_not_have_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("ops: {sift_features: {config: {max_side: 9, sigma: 1.0}}}")
    assert main(["config", "--extractor", "kaze", str(file)]) == 1
    assert f"kaze has no sigma, which {file} sets." in capsys.readouterr().err
    for wrong in ("[1, 2]", "ops: {sift_features: {config: abc}}"):
        file.write_text(wrong)
        assert main(["config", "--extractor", "kaze", str(file)]) == 1
        assert f"{file} is not a run configuration" in capsys.readouterr().err
    file.write_text("ops: {bow_encodings: {}, kaze_bow_encodings: {}}")
    assert main(["config", "--extractor", "kaze", str(file)]) == 1
    assert f"{file} has bow_encodings and kaze_bow_encodings. Remove one" in capsys.readouterr().err


@pytest.mark.parametrize("pipeline_spec", PIPELINES.values(), ids=lambda pipeline_spec: pipeline_spec.name)
def test_every_setting_has_a_description_and_a_default(pipeline_spec: Pipeline) -> None:
    job = defs.resolve_job_def(pipeline_spec.job)
    for name in ("image_seqfile", "image_labels", *pipeline_spec.assets):
        schema: Any = job.get_node_named(name).definition.config_schema
        fields = getattr(schema.config_type, "fields", {})  # of the report, which has no settings
        for field_name, field in fields.items():
            assert field.description, f"{name}.{field_name} has no description"
            assert not field.is_required, f"{name}.{field_name} has no default"


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.options], ids=lambda spec: spec.asset)
def test_options_are_declared_once(spec: StepSpec) -> None:
    """The fields of the Launchpad are those of the workers' options, with their defaults."""
    config = config_of(spec)()
    for options in spec.options:
        assert config.options(options) == options()
    names = [each.name for options in spec.options for each in fields(options)]
    assert list(type(config).model_fields) == names


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
