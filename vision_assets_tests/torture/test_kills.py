"""A few of the kills; `make torture` has all."""

import pytest

from vision_assets_tests.torture.kills import ASSETS, VICTIMS, Trial, World, torture, trials


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


def test_kills_are_spread_over_assets_and_victims() -> None:
    chosen = trials(120, 1)
    pairs = [(trial.asset, trial.victim) for trial in chosen]
    assert {pairs.count((asset, victim)) for asset in ASSETS for victim in VICTIMS} == {5}
    assert trials(120, 1) == chosen
