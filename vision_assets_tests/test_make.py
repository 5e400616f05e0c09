"""What make says before it sets anything up."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
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
    ],
)
def test_wrong_arguments_are_one_clear_sentence(arguments: tuple[str, ...], named: str) -> None:
    refused = make(*arguments)
    assert refused.returncode != 0
    (message, *_) = refused.stderr.splitlines()
    assert message.startswith("Error: ")
    assert named in message
    assert refused.stdout == ""
