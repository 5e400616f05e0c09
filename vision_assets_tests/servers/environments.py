"""Python environments of servers, made once."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vision_assets import settings
from vision_assets_tests.servers.process import run

_SECONDS_TO_INSTALL = 600


def environment(name: str, packages: Sequence[str]) -> Path:
    """Return the interpreter of an environment with some packages; make it if there is none.

    Parameters
    ----------
    name : str
        The environment's name, which tells its versions.
    packages : sequence of str
        As pip takes them.

    Raises
    ------
    RuntimeError
        If it cannot be made.
    """
    folder = settings.jars_folder() / "servers" / name
    python = folder / "bin" / "python"
    if folder.is_dir():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        made = Path(unfinished, "environment")
        log = Path(unfinished, "log")
        run(f"making the environment {name}", [sys.executable, "-m", "venv", str(made)], log)
        pip = [str(made / "bin" / "python"), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
        run(f"installing {name}", [*pip, *packages], log, seconds=_SECONDS_TO_INSTALL)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    return python
