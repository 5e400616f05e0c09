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
DAGSTER = (sys.executable, "-m", "dagster")


def execute(folder: Path, **ops: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the job with a data folder and a history below `folder`."""
    config, home = folder / "run.yaml", folder / "home"
    config.write_text(yaml.safe_dump({"ops": {name: {"config": chosen} for name, chosen in ops.items()}}))
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {settings.DATA: str(folder / "data"), "DAGSTER_HOME": str(home)}
    environment["PYTHONWARNINGS"] = "ignore::FutureWarning"
    return subprocess.run(
        [*DAGSTER, "job", "execute", "-m", "vision_assets.definitions", "-j", "bovw_pipeline", "-c", config],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> tuple[Pipeline, str]:
    folder = tmp_path_factory.mktemp("command line")
    result = execute(
        folder,
        image_seqfile={"source": str(image_folder)},
        kmeans_dictionary={"k": 20},
        image_classifier={"splits": 1},
    )
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
    missing = tmp_path / "nothing here"
    result = execute(tmp_path, image_seqfile={"source": str(missing)})
    assert result.returncode == 1
    assert str(missing) in result.stdout + result.stderr
