import sys

import pytest

from vision_assets_tests.torture.image_worker import mutated
from vision_assets_tests.torture.images import PROBLEMS, torture
from vision_assets_tests.torture.seeds import seed_files

MUTATIONS = 60
"""Mutations of each format; ``make torture`` takes many more."""


def test_mutated_images_give_rows() -> None:
    for tally in torture(list(seed_files()), MUTATIONS):
        assert tally.problems == {}
        assert tally.rows + tally.error_rows == MUTATIONS
        assert tally.rows
        assert tally.error_rows


@pytest.mark.parametrize("kind", seed_files())
def test_mutations_come_again_by_their_number(kind: str) -> None:
    first = [mutated(kind, number) for number in range(40)]

    assert first == [mutated(kind, number) for number in range(40)]
    assert len({*first, *seed_files()[kind]}) > 30 + len(seed_files()[kind])


def test_what_ends_the_worker_is_told_with_its_number() -> None:
    code = """
import os, signal, sys
print("ready", flush=True)
for place in range(int(sys.argv[3]), 10):
    if place in (3, 7):
        os.kill(os.getpid(), signal.SIGKILL if place == 3 else signal.SIGALRM)
    problem = "memory: 300 MiB" if place == 5 else ""
    print(0, 100, 0.5, problem, sep="\\t", flush=True)
    if problem:
        break
"""
    first, second = torture(["A", "B"], 5, (sys.executable, "-c", code))

    assert first.problems == {3: "crash: exit code -9"}
    assert second.problems == {0: "memory: 300 MiB", 2: "hang"}
    assert (first.rows, second.rows) == (4, 3)
    assert [second.of(what) for what in PROBLEMS] == [0, 1, 1, 0]
