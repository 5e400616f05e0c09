"""The job as a user runs it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from vision_assets import settings
from vision_assets_tests.pipeline import Pipeline

ROOT = Path(__file__).parents[1]


def dagster(*arguments: str, data: Path, home: Path) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {settings.DATA: str(data), "DAGSTER_HOME": str(home)}
    environment["PYTHONWARNINGS"] = "ignore::FutureWarning"
    return subprocess.run(
        [sys.executable, "-m", "dagster", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> tuple[Pipeline, str]:
    folder = tmp_path_factory.mktemp("command line")
    config = folder / "run.yaml"
    ops = {
        "image_seqfile": {"config": {"source": str(image_folder)}},
        "kmeans_dictionary": {"config": {"k": 20}},
    }
    config.write_text(yaml.safe_dump({"ops": ops}))
    arguments = (
        "job",
        "execute",
        "-m",
        "vision_assets.definitions",
        "-j",
        "bovw_pipeline",
        "-c",
        str(config),
    )
    result = dagster(*arguments, data=folder / "data", home=folder / "home")
    assert result.returncode == 0, result.stderr
    return Pipeline(folder / "data"), result.stdout + result.stderr


def test_the_job_makes_the_same_tables(executed: tuple[Pipeline, str], filled: Pipeline) -> None:
    for asset in ("sift_features", "kmeans_dictionary", "bow_encodings"):
        pd.testing.assert_frame_equal(executed[0].table(asset), filled.table(asset), check_exact=True)


def test_a_run_that_succeeds_prints_no_warning_and_no_stack_trace(executed: tuple[Pipeline, str]) -> None:
    for unwanted in ("Traceback", "WARN", "Warning", "ERROR", "Exception", "\tat "):
        assert unwanted not in executed[1]
    assert "iteration 10 of 10: inertia" in executed[1]


def test_a_run_that_fails_names_the_cause_and_exits_with_one(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    missing = tmp_path / "nothing here"
    config.write_text(yaml.safe_dump({"ops": {"image_seqfile": {"config": {"source": str(missing)}}}}))
    arguments = (
        "job",
        "execute",
        "-m",
        "vision_assets.definitions",
        "-j",
        "bovw_pipeline",
        "-c",
        str(config),
    )
    result = dagster(*arguments, data=tmp_path / "data", home=tmp_path / "home")
    assert result.returncode == 1
    assert str(missing) in result.stdout + result.stderr
