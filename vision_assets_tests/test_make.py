"""What make says before it sets anything up."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_what_can_be_made() -> None:
    listed = make()
    assert listed.returncode == 0
    for target in ("run", "test", "bench", "ui", "lint", "sample", "lock", "clean"):
        assert f"make {target} " in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "SOURCE=/no such folder"), "/no such folder"),
        (("run", "CONFIG=run_configs/none.yaml"), "run_configs/none.yaml"),
        (("ui", "PORT=http"), "PORT=http"),
        (("bench", "N=many"), "N=many"),
        (("bench", "ROUNDS=0"), "ROUNDS=0"),
        (("run", "LOG=loud"), "LOG=loud"),
    ],
)
def test_wrong_arguments_are_one_clear_sentence(arguments: tuple[str, ...], named: str) -> None:
    refused = make(*arguments)
    assert refused.returncode != 0
    (message, *_) = refused.stderr.splitlines()
    assert message.startswith("Error: ")
    assert named in message
    assert refused.stdout == ""


def test_a_variable_that_does_not_exist_is_named() -> None:
    refused = make("run", "KK=200")
    assert refused.returncode != 0
    assert "There is no variable KK. `make help` lists them" in refused.stderr
    assert make("help", "K=200", "VISION_ASSETS_DATA=/data", "SPARK_CONF_DIR=/conf").returncode == 0


@pytest.fixture
def set_up(tmp_path: Path) -> Path:
    """A copy of what make needs, in which setting up does nothing; its path needs quotes."""
    folder = tmp_path / "it's a copy"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("Makefile", "dagster.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv").mkdir()
    (folder / "scripts" / "setup.sh").write_text("echo setting up\n")
    return folder


def variables(folder: Path, **environment: str) -> dict[str, str]:
    """Return what `eval "$(make env)"` sets, and what was there before."""
    printed = make("env", folder=folder, **environment)
    assert (printed.returncode, printed.stderr) == (0, "setting up\n")
    shell = subprocess.run(
        ["sh", "-c", f"{printed.stdout}\nenv -0"], capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)


def test_env_prints_the_environment_of_run_and_ui_for_a_shell(set_up: Path) -> None:
    found = variables(set_up)
    assert found["DAGSTER_HOME"] == f"{set_up}/.dagster_home"
    assert found["VISION_ASSETS_DATA"] == f"{set_up}/data"
    assert found["PATH"].startswith(f"{set_up}/.venv/bin:")
    assert found["PYSPARK_PYTHON"] == f"{set_up}/.venv/bin/python"
    assert Path(found["JAVA_HOME"], "bin", "java").exists()
    assert found["DAGSTER_DISABLE_TELEMETRY"]
    settings = Path(found["DAGSTER_HOME"], "dagster.yaml")
    assert settings.read_text() == (ROOT / "dagster.yaml").read_text()


def test_a_home_of_ones_own_is_used_and_its_settings_stay(set_up: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("# mine\n")
    assert variables(set_up, DAGSTER_HOME=str(home))["DAGSTER_HOME"] == str(home)
    assert (home / "dagster.yaml").read_text() == "# mine\n"
    assert (home / ".nux" / "nux.yaml").exists(), "else the page begins with an invitation"
