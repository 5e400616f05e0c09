"""Disks that are small, or that cannot be written, for tests of what a run makes of them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOT_ROOT = "only root may mount a disk: run these tests as root, such as in a container"


def require_root() -> None:
    """Skip the test unless it may mount disks; fail in CI, where a skip would not be noticed."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI"):
        pytest.fail(NOT_ROOT, pytrace=False)
    pytest.skip(NOT_ROOT)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Have a folder on a disk of its own."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, kilobytes: int) -> None:
    """Make a small disk larger or smaller."""
    _mount("-o", f"remount,size={kilobytes}k", str(folder))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Have a folder on a disk that cannot be written."""
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
