"""A few of the kills; `make torture` has all."""

import shutil
import time
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
    leftovers,
    part_files,
    processes,
    run_command,
    start_run,
    torture,
    trials,
)

INTERRUPTS = ((2, 0.1), (3, 0.4), (4, 0.6), (5, 0.95))
"""Number of a trial (odd: by SIGTERM), and the moment among the operations on the storage."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("kills"), ASSETS[:2], earlier=False)


@pytest.mark.whole
@pytest.mark.parametrize(
    "trial",
    [
        # The manifest of the first snapshot is there, its marker is not removed.
        Trial("image_seqfile", "storage", earlier=False, moment=0.3, number=0),
        Trial("sift_features", "driver", earlier=False, moment=0, number=1, parts=2),
        *(Trial("image_seqfile", "interrupt", False, moment, number) for number, moment in INTERRUPTS),
    ],
    ids=[
        "during the commit",
        "during the extraction",
        *(f"interrupt at {moment:.0%} of the commit" for _, moment in INTERRUPTS),
    ],
)
def test_a_killed_run_harms_nothing_and_the_next_one_makes_the_same(world: World, trial: Trial) -> None:
    outcome = torture(world, trial)
    assert outcome.faults == []
    assert outcome.killed
    assert outcome.died


@pytest.mark.whole
@pytest.mark.parametrize(
    "features", [pipeline_spec.asset("features") for pipeline_spec in PIPELINES.values()]
)
def test_what_a_killed_run_has_extracted_is_used(filled: Runner, tmp_path: Path, features: str) -> None:
    """For any extractor."""
    killed, undisturbed = Runner(tmp_path / "killed"), Runner(tmp_path / "undisturbed")
    for pipeline in (killed, undisturbed):
        shutil.copytree(filled.data / "image_seqfile", pipeline.data / "image_seqfile")
    process = start_run(killed.data, tmp_path / "log", run_command([features]), keep=1)
    trial = Trial(features, "driver", earlier=False, moment=0, number=0, parts=2)
    assert kill(process, trial, lambda: len(part_files(killed.data, features)) >= trial.parts)
    assert process.wait()
    await_end(process.pid)
    config: dict[str, Any] = dict(CONFIG)
    result = killed.run(None, features, **config)
    assert killed.metadata(result, features)["reused"] > 0
    undisturbed.run(None, features, **config)
    require_same_tables(killed, undisturbed, features)
    assert killed.current(features).version == undisturbed.current(features).version
    assert leftovers(killed.data, killed.store, [features]) == []


def await_end(session: int) -> None:
    """Wait until the JVM and the workers have followed the driver."""
    until = time.monotonic() + 60
    while orphans := [command for _, command in processes(session)]:
        assert time.monotonic() < until, f"goes on after the driver's end: {orphans[0][:80]}"
        time.sleep(0.02)


def test_kills_are_spread_over_assets_and_victims() -> None:
    chosen = trials(5 * len(ASSETS) * len(VICTIMS), 1)
    pairs = [(trial.asset, trial.victim) for trial in chosen]
    assert {pairs.count((asset, victim)) for asset in ASSETS for victim in VICTIMS} == {5}
    assert trials(len(chosen), 1) == chosen
