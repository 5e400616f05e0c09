"""Definitions of collections and their project files: keys, defaults, sources, checks, runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import vision_assets.definitions
from vision_assets import settings
from vision_assets.collection import open_collection
from vision_assets.definitions import make_definitions
from vision_assets.errors import UserError
from vision_assets.pipelines import configured_pipelines
from vision_assets_tests.pipeline import Runner

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file beside the data folder."""
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return write


def run(
    defs: dg.Definitions, *assets: str, instance: dg.DagsterInstance, **config: Any
) -> dg.ExecuteInProcessResult:
    """Materialize assets of some definitions, with their own executor and resources."""
    job = dg.define_asset_job("some", dg.AssetSelection.assets(*assets))
    job_def = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("some")
    return job_def.execute_in_process(
        {"ops": {asset: {"config": options} for asset, options in config.items()}},
        instance=instance,
        raise_on_error=False,
    )


def test_assets_have_the_name_of_their_collection_in_front(write: Write) -> None:
    write("collections/flowers.yaml", "source: images\nkmeans_dictionary: {k: 7}\n")
    defs: dg.Definitions = vision_assets.definitions.flowers
    dg.Definitions.validate_loadable(defs)
    unnamed = make_definitions(configured_pipelines(), open_collection()).resolve_asset_graph()
    graph = defs.resolve_asset_graph()
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"flowers"}
    assert {key.path[-1] for key in graph.get_all_asset_keys()} == {
        key.path[-1] for key in unnamed.get_all_asset_keys()
    }
    for key in graph.get_all_asset_keys():
        assert {parent.path[0] for parent in graph.get(key).parent_keys} <= {"flowers"}
    job = defs.resolve_job_def("bovw_pipeline")
    assert job.get_node_named("kmeans_dictionary"), "run configurations name assets alone"
    assert job.tags["collection"] == "flowers"
    with pytest.raises(AttributeError, match="no attribute 'trees'"):
        vision_assets.definitions.trees  # noqa: B018


def test_the_settings_of_the_file_are_the_defaults(write: Write) -> None:
    write("vision_assets.yaml", "kmeans_dictionary: {k: 7}\nimage_classifier: {exclude_labels: [a]}\n")
    job = make_definitions(configured_pipelines(), open_collection()).resolve_job_def("bovw_pipeline")

    def default(asset: str, option: str) -> Any:
        schema: Any = job.get_node_named(asset).definition.config_schema
        return schema.config_type.fields[option].default_value

    assert default("kmeans_dictionary", "k") == 7
    assert default("kmeans_dictionary", "max_iter") == 10
    assert default("image_classifier", "exclude_labels") == ["a"]


def test_a_fault_in_the_file_is_named_with_the_file(write: Write) -> None:
    file = write("vision_assets.yaml", "kmeans_dictionary: {kk: 7}\n")
    with pytest.raises(
        UserError, match=rf"^{file}: kmeans_dictionary has no setting kk \(did you mean k\?\)"
    ):
        make_definitions(configured_pipelines(), open_collection())


def test_runs_of_a_collection(write: Write, tmp_path: Path, image_folder: Path, spark: object) -> None:
    """Its tables are in a folder of its own; other settings and another source are noticed."""
    write("collections/pets.yaml", f"source: {image_folder}\nsift_features: {{nfeatures: 50}}\n")
    defs = make_definitions(configured_pipelines(), open_collection("pets"))
    with dg.DagsterInstance.ephemeral() as instance:
        both = ("pets/image_seqfile", "pets/sift_features")
        first = run(defs, *both, instance=instance)
        assert first.success
        assert _check(first, "project_settings", "sift_features").passed
        made = Runner(tmp_path / "data" / "collections" / "pets")
        assert made.current("image_seqfile").rows == 12
        assert made.current("image_seqfile").config["source"] == str(image_folder)
        assert made.current("sift_features").config["nfeatures"] == 50
        assert not (tmp_path / "data" / "image_seqfile").exists()

        other = run(defs, "pets/sift_features", instance=instance, sift_features={"nfeatures": 40})
        check = _check(other, "project_settings", "sift_features")
        assert not check.passed
        assert "nfeatures" in str(check.description)

        other_source = {"source": str(image_folder / "cats")}
        refused = run(defs, both[0], instance=instance, image_seqfile=other_source)
        assert not refused.success
        assert "`replace_source: true`" in Runner.error(refused)
        assert made.current("image_seqfile").rows == 12
        wanted = run(defs, both[0], instance=instance, image_seqfile=other_source | {"replace_source": True})
        assert wanted.success
        assert made.current("image_seqfile").rows == 6


def _check(result: dg.ExecuteInProcessResult, name: str, asset: str) -> dg.AssetCheckEvaluation:
    (found,) = [
        check
        for check in result.get_asset_check_evaluations()
        if check.check_name == name and check.asset_key.path[-1] == asset
    ]
    return found
