import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.collection import open_collection
from vision_assets.definitions import make_definitions
from vision_assets.defs.config import config_of
from vision_assets.errors import UserError
from vision_assets.pipelines import (
    PIPELINE_OF_ASSET,
    PIPELINES,
    Pipeline,
    configured_pipelines,
    select_pipelines,
)
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.spec import StepSpec
from vision_assets_tests.asset_graph import IMAGES, SHOWN_GRAPH, graph_of, shown_definitions, shown_graph
from vision_assets_tests.defs.test_pictures import PICTURES
from vision_assets_tests.pipeline import defs

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def test_the_asset_graph_is_the_one_agreed_on() -> None:
    """After a wanted change, write the new one: `python -m vision_assets_tests.defs.test_definitions`."""
    assert graph_of(defs) == json.loads(SNAPSHOT.read_text())


def test_everything_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_screenshots_show_the_present_graph() -> None:
    shown = json.loads(SHOWN_GRAPH.read_text()) if SHOWN_GRAPH.exists() else None
    assert shown == shown_graph(), "docs/images is older than the graph: retake it with `make screenshots`"
    stems = {file.stem for file in IMAGES.iterdir()}
    assert {f"{asset}_{name}" for asset in graph_of(shown_definitions()) for name in PICTURES[asset]} <= stems


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", ["sift"]),
        (" , ", ["sift"]),
        (" KAZE,sift", ["sift", "kaze"]),
        ("surf", ["surf"]),
        ("all", list(PIPELINES)),
        ("all,kaze", list(PIPELINES)),
    ],
)
def test_the_environment_names_the_extractors(
    monkeypatch: pytest.MonkeyPatch, value: str, names: list[str]
) -> None:
    monkeypatch.setenv(settings.EXTRACTORS, value)
    assert [pipeline.name for pipeline in configured_pipelines()] == names


def test_an_extractor_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.EXTRACTORS, "sift,orb")
    message = f"{settings.EXTRACTORS}: There is no extractor 'orb'. Choose one of {', '.join(PIPELINES)}"
    with pytest.raises(UserError, match=message):
        configured_pipelines()


def test_extractors_that_nobody_named_do_not_exist_for_dagster() -> None:
    chosen = make_definitions(select_pipelines(["sift", "kaze"]), open_collection())
    dg.Definitions.validate_loadable(chosen)
    assets = graph_of(chosen)
    expected = {"image_seqfile", "image_labels", *PIPELINES["sift"].assets, *PIPELINES["kaze"].assets}
    assert set(assets) == expected
    assert all(assets[asset] == graph_of(defs)[asset] for asset in expected)
    assert [job.name for job in chosen.jobs or []] == ["bovw_pipeline", "kaze_pipeline"]
    materialize_all = chosen.resolve_implicit_global_asset_job_def()
    keys = {key.to_user_string() for key in materialize_all.asset_layer.executable_asset_keys}
    assert keys == expected


def test_every_asset_links_to_its_source_and_to_its_section_of_the_documentation() -> None:
    assets = defs.resolve_asset_graph()
    for asset in graph_of(defs):
        metadata = assets.get(dg.AssetKey(asset)).metadata
        step, function, page = metadata["dagster/code_references"].code_references
        lines = [
            Path(file.file_path).read_text().splitlines()[file.line_number - 1]
            for file in (step, function, page)
        ]
        assert lines[0].startswith('"""')
        assert lines[1].strip().startswith("@step_asset(spec")
        pipeline = PIPELINE_OF_ASSET.get(asset)
        named = PIPELINES["sift"].asset(SPECS[asset].step.kind) if pipeline else asset
        assert lines[2].startswith((f"## {asset}:", f"## {named}:")), (
            f"docs/pipeline.md has no section on {named}"
        )
        assert (ROOT / metadata["docs"].path).samefile(page.file_path)


def test_jobs_and_their_groups_are_described() -> None:
    groups = {described["group"] for described in graph_of(defs).values()}
    descriptions = [defs.resolve_job_def(pipeline.job).description or "" for pipeline in PIPELINES.values()]
    for group in groups:
        assert any(f"group `{group}`" in description for description in descriptions)


def test_every_job_has_a_schedule_as_an_example_which_is_off() -> None:
    repository = defs.get_repository_def()
    schedules = {schedule.job_name: schedule for schedule in repository.schedule_defs}
    assert set(schedules) == {pipeline.job for pipeline in PIPELINES.values()}
    for schedule in schedules.values():
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        assert "example" in (schedule.description or "")


@pytest.mark.parametrize("pipeline_spec", PIPELINES.values(), ids=lambda pipeline_spec: pipeline_spec.name)
def test_a_job_has_the_assets_of_its_extractor(pipeline_spec: Pipeline) -> None:
    job = defs.resolve_job_def(pipeline_spec.job)
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == {"image_seqfile", "image_labels", *pipeline_spec.assets}


def test_every_asset_is_of_a_job() -> None:
    assert set(graph_of(defs)) == {"image_seqfile", "image_labels", *PIPELINE_OF_ASSET}


@pytest.mark.parametrize("config", sorted((ROOT / "run_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_run_configs_fit_the_job(config: Path) -> None:
    assert dg.validate_run_config(
        defs.resolve_job_def(PIPELINES["sift"].job), yaml.safe_load(config.read_text())
    )


def test_the_settings_of_labels_and_splits_in_the_readme_fit_the_job() -> None:
    shown = re.findall(r"`(image_\w+: {config: .*?}})`", (ROOT / "README.md").read_text())
    assert len(shown) == 6
    for ops in shown:
        assert dg.validate_run_config(
            defs.resolve_job_def(PIPELINES["sift"].job), {"ops": yaml.safe_load(ops)}
        )


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
    SNAPSHOT.write_text(json.dumps(graph_of(defs), indent=2) + "\n")
