"""Folders of images: listed, and linked into smaller and larger ones."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

_Item = TypeVar("_Item")


def spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """Return about evenly spaced items, all of them if there are no more."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder in the order of their names."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def link_some(folder: Path, count: int, target: Path, *, flat: bool = False) -> Path:
    """Make a folder of evenly spaced images of another one; flat has them numbered, without folders."""
    for number, file in enumerate(spread(files_of(folder), count)):
        _link(file, target / (f"{number:06}{file.suffix}" if flat else file.relative_to(folder)))
    return target


def link_copies(folder: Path, copies: int, target: Path) -> Path:
    """Make a folder with all images of another one several times."""
    for copy in range(copies):
        for file in files_of(folder):
            _link(file, target / f"copy_{copy}" / file.relative_to(folder))
    return target


def _link(file: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, link)
