"""Scripts by which a shell completes the console command, from its own parser."""

import argparse

import shtab

from vision_assets.cli.parser import build_parser
from vision_assets.pipelines import PIPELINES, STEPS


def completion_script(shell: str) -> str:
    """Return the script that completes commands, options, names of assets and extractors, and files.

    Parameters
    ----------
    shell : str
        One of `vision_assets.cli.parser.SHELLS`.

    Returns
    -------
    str
    """
    choices = {"asset": list(STEPS), "extractor": list(PIPELINES)}
    paths = {"images": shtab.FILE, "file": shtab.FILE, "output": shtab.FILE, "folder": shtab.DIRECTORY}

    def complete(action: argparse.Action) -> None:
        if action.dest in choices:
            action.choices = choices[action.dest]
        elif action.dest in paths:
            action.complete = paths[action.dest]  # type: ignore[attr-defined] # shtab reads it

    return shtab.complete(build_parser(complete), shell)
