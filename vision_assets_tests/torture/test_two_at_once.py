"""Some of what `python -m vision_assets_tests.torture.two_at_once` does twenty times."""

from pathlib import Path

import pytest

from vision_assets_tests.torture.two_at_once import Process, World, run_here

pytestmark = pytest.mark.torture


@pytest.mark.usefixtures("spark")
def test_two_at_once(tmp_path: Path) -> None:
    with Process(tmp_path / "other.log") as other:
        world = World(tmp_path, (run_here, other))
        world.two_runs_of_one_asset(keep=1)
        world.a_run_and_readers(keep=1)
    assert min(world.done[reader] for reader in ("read_path", "read_held", "predict")) > 0
