"""Mutations of real images through decoding and SIFT, in processes of their own with limits.

``python -m vision_assets_tests.torture.images --mutations 10000`` prints a row per format, and each mutation
that crashed, hung, took too much memory or raised something. Its bytes are those of
``image_worker.mutated(format, number)``; ``--save`` writes them into a folder.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import vision_assets_tests
from vision_assets_tests.torture.image_worker import READY, Outcome, mutated
from vision_assets_tests.torture.seeds import seed_files

_ROOT = Path(vision_assets_tests.__file__).parent.parent
_WORKER = (sys.executable, "-m", "vision_assets_tests.torture.image_worker")


@dataclass
class Tally:
    """What became of the mutations of one format."""

    kind: str
    rows: int = 0
    error_rows: int = 0
    memory: int = 0
    seconds: float = 0
    problems: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, outcome: Outcome) -> None:
        """Count a mutation of which the worker has told."""
        self.memory = max(self.memory, outcome.memory)
        self.seconds += outcome.seconds
        if outcome.problem:
            self.problems[number] = outcome.problem
        elif outcome.error:
            self.error_rows += 1
        else:
            self.rows += 1

    def of(self, what: str) -> int:
        """Count the problems of one kind."""
        return sum(problem.startswith(what) for problem in self.problems.values())


PROBLEMS = ("crash", "hang", "memory", "exception")


def torture(kinds: list[str], mutations: int, worker_command: Sequence[str] = _WORKER) -> list[Tally]:
    """Run all mutations of some formats. A new worker is started after each mutation that ended one."""
    tallies = [Tally(kind) for kind in kinds]
    place, end = 0, mutations * len(kinds)
    while place < end:
        arguments = [",".join(kinds), str(mutations), str(place)]
        with subprocess.Popen(
            [*worker_command, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        ) as worker:
            assert worker.stdout is not None
            if worker.stdout.readline().strip() != READY:
                raise RuntimeError("the worker did not start")
            for line in worker.stdout:
                tallies[place // mutations].add(place % mutations, _parse(line))
                place += 1
        if worker.returncode:
            ended = (
                "hang" if worker.returncode == -signal.SIGALRM else f"crash: exit code {worker.returncode}"
            )
            tallies[place // mutations].problems[place % mutations] = ended
            place += 1
    return tallies


def _parse(line: str) -> Outcome:
    error, memory, seconds, problem = line.rstrip("\n").split("\t")
    return Outcome(error == "1", int(memory), float(seconds), problem)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Run mutated images through decoding and SIFT.")
    parser.add_argument("--mutations", type=int, default=10_000, help="of each format")
    parser.add_argument("--formats", nargs="+", choices=seed_files(), default=list(seed_files()))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for the images that went wrong")
    options = parser.parse_args()
    print(f"{'format':12}{'mutations':>10}{'rows':>8}{'errors':>8}", end="")
    print("".join(f"{what:>11}" for what in PROBLEMS), f"{'peak MiB':>10}{'seconds':>9}")
    bad = 0
    with ThreadPoolExecutor(options.processes) as pool:
        run = partial(torture, mutations=options.mutations)
        for (tally,) in pool.map(run, [[kind] for kind in options.formats]):
            _print(tally, options.save)
            bad += len(tally.problems)
    return 1 if bad else 0


def _print(tally: Tally, folder: Path | None) -> None:
    count = tally.rows + tally.error_rows + len(tally.problems)
    print(f"{tally.kind:12}{count:10,}{tally.rows:8,}{tally.error_rows:8,}", end="")
    print("".join(f"{tally.of(what):11}" for what in PROBLEMS), end="")
    print(f"{tally.memory / 2**20:11.0f}{tally.seconds:9.0f}", flush=True)
    for number, problem in tally.problems.items():
        print(f"  {tally.kind} {number}: {problem}", flush=True)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{tally.kind} {number}").write_bytes(mutated(tally.kind, number))


if __name__ == "__main__":
    sys.exit(_main())
