"""The command `sweep`: combinations, their order, their tags and their results."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vision_assets import settings
from vision_assets.cli import main, sweep
from vision_assets.cli.sweep import Combination, read_sweep
from vision_assets.collection import Collection
from vision_assets.errors import UserError
from vision_assets.snapshots.store import open_store
from vision_assets_tests.reports import make_report

GRID = """\
bow_encodings.pooling: [sum, count]
kmeans_dictionary.k: [100, 200]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))
    (tmp_path / "sweep.yaml").write_text(GRID)
    return tmp_path


def test_what_is_upstream_changes_least(project: Path) -> None:
    """A dictionary is trained once for all poolings."""
    found = [tuple(each.chosen.values()) for each in read_sweep(project / "sweep.yaml")]
    assert found == [(100, "sum"), (100, "count"), (200, "sum"), (200, "count")]


def test_runs_have_tags_and_the_names_of_their_extractor(project: Path) -> None:
    (project / "sweep.yaml").write_text("extractor: [sift, kaze]\nkmeans_dictionary.k: [100]\n")
    sift, kaze = read_sweep(project / "sweep.yaml")
    assert sift.run_config("")["ops"] == {"kmeans_dictionary": {"config": {"k": 100}}}
    assert kaze.run_config("")["ops"] == {"kaze_kmeans_dictionary": {"config": {"k": 100}}}
    assert kaze.tags("flowers") == {"collection": "flowers", "extractor": "kaze", "k": "100"}
    both = Combination("sift", {"kmeans_dictionary.seed": 1, "image_classifier.seed": 2})
    assert both.tags("") == {
        "extractor": "sift",
        "kmeans_dictionary.seed": "1",
        "image_classifier.seed": "2",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kmeans_dictionary.k: 100", "each with a list of values"),
        ("[1]", "each with a list of values"),
        ("k: [100]", "'k' is no setting: write asset.option"),
        ("extractor: [orb]\nkmeans_dictionary.k: [1]", "no extractor 'orb'"),
    ],
)
def test_another_file_is_refused(project: Path, text: str, message: str) -> None:
    (project / "sweep.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_sweep(project / "sweep.yaml")


def test_a_wrong_value_is_found_before_anything_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "_execute", pytest.fail)
    (project / "sweep.yaml").write_text("kmeans_dictionary.k: [100, 0]\n")
    assert main(["sweep", str(project / "sweep.yaml")]) == 1
    assert "kmeans_dictionary.k must be at least 1, but is 0." in capsys.readouterr().err


@pytest.fixture
def executed(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Reports in place of runs: what each run was asked for."""
    asked: list[dict[str, Any]] = []

    def execute(config: dict[str, Any], extractor: str, collection: Collection, tags: dict[str, str]) -> int:
        asked.append({asset: dict(op["config"]) for asset, op in config.get("ops", {}).items()})
        if asked[-1].get("kmeans_dictionary", {}).get("k") == 13:
            return 1
        own = {asset: dict(options) for asset, options in collection.settings.items()}
        made = {asset: own.get(asset, {}) | asked[-1].get(asset, {}) for asset in {*own, *asked[-1]}}
        accuracy = 0.5 + made.get("kmeans_dictionary", {}).get("k", 0) / 1000
        make_report(open_store(collection.data), counts={"mean_per_class_accuracy": accuracy}, **made)
        return 0

    monkeypatch.setattr(sweep, "_execute", execute)
    return asked


def test_a_sweep_runs_what_has_no_result_and_compares(
    project: Path, executed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    make_report(
        open_store(str(project / "data")),
        kmeans_dictionary={"k": 100},
        bow_encodings={"pooling": "count"},
    )
    assert main(["sweep", str(project / "sweep.yaml")]) == 0
    assert [(each["kmeans_dictionary"]["k"], each["bow_encodings"]["pooling"]) for each in executed] == [
        (100, "sum"),
        (200, "sum"),
        (200, "count"),
    ]
    printed = capsys.readouterr()
    assert "1 of 4 combinations have a result already" in printed.err
    title, *rows = printed.out.splitlines()[:5]
    assert {"k", "pooling", "accuracy"} <= set(title.split())
    assert len(rows) == 4
    assert (project / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert main(["sweep", str(project / "sweep.yaml")]) == 0
    assert len(executed) == 3, "nothing is run twice"


def test_afterwards_the_tables_are_those_of_the_project_file(
    project: Path, executed: list[dict[str, Any]]
) -> None:
    own = {"kmeans_dictionary": {"max_iter": 7, "full_refresh": False}}  # of a run: no result has it
    (project / "vision_assets.yaml").write_text(yaml.safe_dump(own))
    (project / "sweep.yaml").write_text("kmeans_dictionary.k: [100]\n")
    assert main(["sweep", str(project / "sweep.yaml")]) == 0
    assert executed == [{"kmeans_dictionary": {"k": 100}}, {}]


def test_words_that_are_kept_for_ever_are_not_replaced(
    project: Path, executed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "vision_assets.yaml").write_text("kmeans_dictionary: {retrain: never}")
    assert main(["sweep", str(project / "sweep.yaml")]) == 1
    assert "keeps kmeans_dictionary (`retrain: never`)" in capsys.readouterr().err
    assert executed == []


def test_a_run_that_fails_is_named_and_the_others_are_compared(
    project: Path, executed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "sweep.yaml").write_text("kmeans_dictionary.k: [13, 100]\n")
    assert main(["sweep", str(project / "sweep.yaml")]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 runs have failed: sift, kmeans_dictionary.k = 13. Run it again." in printed.err
    assert "60.0%" in printed.out
