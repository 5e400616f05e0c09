"""A few of the kills; `make torture` has all."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from vision_assets.pipelines import PIPELINES
from vision_assets_tests.pipeline import Runner, require_same_tables
from vision_assets_tests.torture.kills import (
    ASSETS,
    CONFIG,
    VICTIMS,
    Trial,
    World,
    kill,
    part_files,
    torture,
    trials,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("kills"), ASSETS[:2], earlier=False)


@pytest.mark.parametrize(
    "trial",
    [
        # The manifest of the first snapshot is there, its marker is not removed.
        Trial("image_seqfile", "storage", earlier=False, moment=0.3, number=0),
        Trial("sift_features", "driver", earlier=False, moment=0, number=1, parts=2),
    ],
    ids=["amid the commit", "amid the extraction"],
)
def test_a_killed_run_harms_nothing_and_the_next_one_makes_the_same(world: World, trial: Trial) -> None:
    outcome = torture(world, trial)
    assert outcome.faults == []
    assert outcome.killed
    assert outcome.died


@pytest.mark.whole
@pytest.mark.parametrize("features", [chain.asset("features") for chain in PIPELINES.values()])
def test_what_a_killed_run_has_extracted_is_used(world: World, tmp_path: Path, features: str) -> None:
    """Whatever the extractor."""
    killed, undisturbed = Runner(tmp_path / "killed"), Runner(tmp_path / "undisturbed")
    for pipeline in (killed, undisturbed):
        shutil.copytree(world.data / "image_seqfile", pipeline.data / "image_seqfile")
    process = world.start(killed.data, tmp_path / "log", world.command([features]), 1)
    trial = Trial(features, "driver", earlier=False, moment=0, number=0, parts=2)
    assert kill(process, trial, lambda: len(part_files(killed.data, features)) >= trial.parts)
    process.wait()
    config: dict[str, Any] = dict(CONFIG)
    result = killed.run(None, features, **config)
    assert killed.metadata(result, features)["reused"] > 0
    undisturbed.run(None, features, **config)
    require_same_tables(killed, undisturbed, features)


def test_kills_are_spread_over_assets_and_victims() -> None:
    chosen = trials(120, 1)
    pairs = [(trial.asset, trial.victim) for trial in chosen]
    assert {pairs.count((asset, victim)) for asset in ASSETS for victim in VICTIMS} == {5}
    assert trials(120, 1) == chosen
