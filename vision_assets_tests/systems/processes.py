"""The pipeline as processes of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from vision_assets import settings

_ROOT = Path(__file__).parents[2]


def materialize(assets: tuple[str, ...], config: Mapping[str, Any]) -> list[str]:
    """Return the command that materializes assets, as the arguments of ``python -m``.

    Parameters
    ----------
    assets : tuple of str
    config : mapping
        Asset to its configuration; of those that are not materialized it is left out.
    """
    chosen = {"ops": {asset: {"config": config[asset]} for asset in assets if asset in config}}
    command = ["dagster", "asset", "materialize", "--select", ",".join(assets)]
    return [*command, "-m", "vision_assets.definitions", "--config-json", json.dumps(chosen)]


def begin(
    folder: Path, command: list[str], data: str, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a process in a folder, which then has its output.

    Parameters
    ----------
    folder : Path
    command : list of str
        Arguments of ``python -m``.
    data : str
        Data folder or URI.
    environment : mapping
        Variables besides this process's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours = {
        settings.DATA: data,
        settings.PICTURES: "no",
        "PYTHONPATH": str(_ROOT),
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    inherited = {name: value for name, value in os.environ.items() if name != settings.CONNECTORS}
    with (folder / "output").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=inherited | ours | dict(environment),
            stdout=output,
            stderr=output,
        )


def output(folder: Path) -> str:
    """Return what a process that was started in a folder has said."""
    return (folder / "output").read_text()


def require_success(run: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait for the end of a process that was started in a folder."""
    assert run.wait() == 0, output(folder)[-3000:]


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return what a condition finds once it finds something; fail if it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    pytest.fail(f"not in {seconds} s: {what}")
