"""The commands `config` and `workspace`."""

from pathlib import Path

import pytest
import yaml

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.collection import open_collection
from vision_assets.snapshots.store import open_store


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))
    return tmp_path


def test_settings_are_changed_one_by_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "run.yaml"
    file.write_text("ops: {kmeans_dictionary: {config: {k: 5, seed: 1}}}")
    changes = [
        "kmeans_dictionary.k=200",
        "image_classifier.exclude_labels=[a, b]",
        "bow_encodings.pooling=max",
    ]
    assert main(["config", str(file), *(word for change in changes for word in ("--set", change))]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {
        "ops": {
            "kmeans_dictionary": {"config": {"k": 200, "seed": 1}},
            "image_classifier": {"config": {"exclude_labels": ["a", "b"]}},
            "bow_encodings": {"config": {"pooling": "max"}},
        }
    }
    assert main(["config", "--extractor", "kaze", "--set", "kmeans_dictionary.k=7"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed == {"ops": {"kaze_kmeans_dictionary": {"config": {"k": 7}}}}


def test_what_runs_start_from_is_shown_beside_the_configuration(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "vision_assets.yaml"
    file.write_text("kmeans_dictionary: {k: 300}\n")
    assert main(["config", "--set", "bow_encodings.pooling=max"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"# Every run starts from {file}:\n#   kmeans_dictionary:\n#     k: 300\n")
    assert yaml.safe_load(printed) == {"ops": {"bow_encodings": {"config": {"pooling": "max"}}}}


def test_settings_are_those_of_the_extractor_that_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "run.yaml"
    file.write_text("ops: {sift_features: {config: {max_side: 100}}}")
    for asset in ("kaze_features", "sift_features"):
        given = ["config", str(file), "--extractor", "kaze", "--set", f"{asset}.max_side=50"]
        assert main(given) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert printed == {"ops": {"kaze_features": {"config": {"max_side": 50}}}}
    assert main(["config", "--set", "kaze_kmeans_dictionary.k=10"]) == 1
    assert "belongs to the pipeline of kaze, this run is that of sift." in capsys.readouterr().err


def test_a_fault_is_blamed_on_the_setting_that_has_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "run.yaml"
    file.write_text(f"ops: {{image_seqfile: {{config: {{source: {project}}}}}}}")
    assert main(["config", str(file), "--set", "image_classifier.split=folder"]) == 1
    fault = capsys.readouterr().err
    assert fault.startswith("image_classifier.split=folder: image_classifier.split is folder, but ")
    assert main(["config", str(file), "--set", "image_classifier.split=labels"]) == 1
    assert "is labels, but nothing gives a split: set `labels`" in capsys.readouterr().err
    pattern = "image_labels.label_pattern='(?P<split>train|test)_(?P<label>[a-z]+)'"
    given = ["config", str(file), "--set", "image_classifier.split=labels", "--set", pattern]
    assert main(given) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ops: {kmeans_dictionary: {k: 5}}", "kmeans_dictionary has 'k' where `config:` belongs."),
        ("ops: {kmeans_dictionary: {config: {k: 5, k: 7}}}", "k stands twice"),
        ("kmeans_dictionary: {k: 5}\nkmeans_dictionary: {seed: 1}", "kmeans_dictionary stands twice"),
        ("source: nowhere\nkmeans_dictionary: {kk: 5}", "/nowhere does not exist."),
    ],
)
def test_a_fault_of_form_is_found(
    project: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "own.yaml"
    file.write_text(text)
    assert main(["config", "--check", str(file)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "kmeans_dictionary.k=0",
            "kmeans_dictionary.k=0: kmeans_dictionary.k must be at least 1, but is 0.\n",
        ),
        (
            "kmeans_dictionary.kk=1",
            "kmeans_dictionary.kk=1: kmeans_dictionary has no setting kk (did you mean k?). ",
        ),
        ("k=1", "'k=1' is no setting: write ASSET.OPTION=VALUE, such as kmeans_dictionary.k=200.\n"),
        ("bow_encodings.pooling=[", "'bow_encodings.pooling=[': the value is no YAML. In SET="),
    ],
)
def test_a_wrong_change_is_one_line(change: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--set", change]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1


def test_run_configurations_and_project_files_are_checked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, own = project / "run.yaml", project / "own.yaml"
    run.write_text("ops: {kmeans_dictionary: {config: {k: 0}}}")
    own.write_text("kmeans_dictionary: {k: 0}\nbow_encodings: {poolin: max}\n")
    assert main(["config", "--check", str(run)]) == 1
    assert capsys.readouterr().err == f"{run}: kmeans_dictionary.k must be at least 1, but is 0.\n"
    assert main(["config", "--check", str(own)]) == 1
    assert "did you mean pooling?" in capsys.readouterr().err
    run.write_text("op: {kmeans_dictionary: {config: {k: 1}}}\nresources: {}\n")
    assert main(["config", "--check", str(run)]) == 1
    assert "it has 'op' at its top (did you mean ops?)" in capsys.readouterr().err
    run.write_text("ops: {kmeans_dictionary: {config: {k: 1}}}")
    own.write_text("kmeans_dictionary: {k: 1}")
    for file in (run, own):
        assert main(["config", "--check", str(file)]) == 0
        assert capsys.readouterr().out == f"{file}: no fault found\n"


def test_a_project_file_with_a_fault_stops_every_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "vision_assets.yaml").write_text("kmeans_dictionary: {k: 0}")
    assert main(["config"]) == 1
    assert "kmeans_dictionary.k must be at least 1" in capsys.readouterr().err


def commit(asset: str, run_id: str, **config: object) -> None:
    store = open_store(settings.data_folder())
    pending = store.begin((asset,), run_id, {})
    Path(pending.uri).mkdir()
    unknown = {"counts": {}, "check_results": {}, "keys": "", "rows": 0, "seconds": 0.0}
    store.commit(pending, run_id=run_id, code_version="", config=config, **unknown)


def test_the_settings_of_a_run_are_saved(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "vision_assets.yaml"
    file.write_text("# mine\nbow_encodings: {pooling: max}\nimage_classifier: {splits: 9}\n")
    commit("image_seqfile", "abc1", source="/srv/pictures", full_refresh=True)
    commit("kmeans_dictionary", "abc1", k=300, max_iter=10, seed=0)
    commit("kmeans_dictionary", "def2", k=5)
    commit("image_classifier", "abc1", splits=3, exclude_labels=[])
    assert main(["config", "--save", "abc"]) == 0
    assert str(file) in capsys.readouterr().out
    found = open_collection()
    assert found.source == "/srv/pictures"
    file.write_text("source: pictures\n")
    commit("image_seqfile", "abc2", source=str(project / "pictures"))
    assert main(["config", "--save", "abc2"]) == 0
    assert "source: pictures\n" in file.read_text(), "as it was, relative to the file"
    file.write_text("# mine\nbow_encodings: {pooling: max}\nimage_classifier: {splits: 9}\n")
    assert main(["config", "--save", "abc1"]) == 0
    found = open_collection()
    assert found.settings == {"bow_encodings": {"pooling": "max"}, "kmeans_dictionary": {"k": 300}}
    assert sorted(path.name for path in project.iterdir()) == ["data", "vision_assets.yaml"]


def test_a_run_has_to_be_known_and_its_id_clear(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run_id in ("abc1", "abc2"):
        commit("kmeans_dictionary", run_id, k=300)
    assert main(["config", "--save", "xyz"]) == 1
    assert "has no table that run 'xyz' made" in capsys.readouterr().err
    assert main(["config", "--save", "abc"]) == 1
    assert "'abc' is the beginning of several runs' ids" in capsys.readouterr().err
    assert not (project / "vision_assets.yaml").exists()


def locations(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    assert main(["workspace"]) == 0
    return [entry["python_module"] for entry in yaml.safe_load(capsys.readouterr().out)["load_from"]]


def test_each_collection_is_a_code_location(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = {"module_name": "vision_assets.definitions"}
    unnamed = module | {"location_name": "vision_assets"}
    assert locations(capsys) == [unnamed]
    (project / "collections").mkdir()
    for name in ("scenes", "flowers"):
        (project / "collections" / f"{name}.yaml").touch()
    named = [module | {"location_name": name, "attribute": name} for name in ("flowers", "scenes")]
    assert locations(capsys) == named, "nobody uses the one without a name"
    commit("image_seqfile", "abc1")
    assert locations(capsys) == [unnamed, *named]
