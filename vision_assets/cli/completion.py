"""Scripts by which a shell completes the console command, from its own parser."""

import argparse

import shtab

from vision_assets.chains import CHAINS, IMAGES
from vision_assets.cli.parser import build_parser


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
    assets = [IMAGES, *(asset for chain in CHAINS.values() for asset in chain.assets)]
    choices = {"asset": assets, "extractor": list(CHAINS)}
    paths = {"images": shtab.FILE, "file": shtab.FILE, "folder": shtab.DIRECTORY}

    def complete(action: argparse.Action) -> None:
        if action.dest in choices:
            action.choices = choices[action.dest]
        elif action.dest in paths:
            action.complete = paths[action.dest]  # type: ignore[attr-defined] # shtab reads it

    return shtab.complete(build_parser(complete), shell)
