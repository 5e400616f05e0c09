"""Run a command and print its seconds and the peak memory of its processes (Linux).

python benchmarks/memory.py COMMAND [ARGUMENT ...]
"""

import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

INTERVAL = 1.0  # seconds; a look takes up to 0.1 s


@dataclass(frozen=True)
class Peak:
    """Largest sizes seen of a tree of processes, in MB. They need not be of the same moment.

    `total` and `workers` add up proportional set sizes, so pages that processes share count once. The others
    are the high-water mark that the kernel keeps of the largest single process of a kind, pages that it
    shares included, so no peak between two looks is missed. A worker is what the JVM has started.
    """

    total: float = 0.0
    workers: float = 0.0
    driver: float = 0.0
    jvm: float = 0.0
    worker: float = 0.0

    def at_least(self, other: "Peak") -> "Peak":
        return Peak(*map(max, astuple(self), astuple(other)))


@dataclass(frozen=True)
class _Process:
    kind: str
    proportional: float
    highest: float


class Watch:
    """Looks at a process and its descendants, again and again, while a `with` block lasts."""

    def __init__(self, root: int, interval: float = INTERVAL) -> None:
        self.peak = Peak()
        self._root = root
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        self.peak = look(self._root)
        while not self._over.wait(self._interval):
            self.peak = self.peak.at_least(look(self._root))


def look(root: int) -> Peak:
    """Return the sizes of a tree of processes now."""
    found = [_process(number, kind) for number, kind in _tree(root)]
    highest: dict[str, float] = defaultdict(float)
    for process in found:
        highest[process.kind] = max(highest[process.kind], process.highest)
    return Peak(
        total=sum(process.proportional for process in found),
        workers=sum(process.proportional for process in found if process.kind == "worker"),
        driver=highest["driver"],
        jvm=highest["jvm"],
        worker=highest["worker"],
    )


def _tree(root: int) -> list[tuple[int, str]]:
    """Number and kind of each process."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = stat.read_text().rpartition(")")[2]
        except OSError:  # it has ended meanwhile
            continue
        number = int(stat.parent.name)
        children[int(rest.split()[1])].append(number)
    found, todo = [], [(root, "driver")]
    while todo:
        number, kind = todo.pop()
        # Also what the JVM has just forked, which has the JVM's memory until it becomes a worker.
        found.append((number, "jvm" if _is_java(number) else kind))
        below = kind if found[-1][1] == "driver" else "worker"
        todo += [(child, below) for child in children[number]]
    return found


def _is_java(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/exe").readlink().name == "java"
    except OSError:  # it has ended meanwhile
        return False


def _process(number: int, kind: str) -> _Process:
    return _Process(
        kind, _megabytes(number, "smaps_rollup", r"^Pss:"), _megabytes(number, "status", r"^VmHWM:")
    )


def _megabytes(number: int, file: str, field: str) -> float:
    try:
        size = re.search(rf"{field}\s+(\d+)", Path("/proc", str(number), file).read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(size[1]) * 1024 / 1e6 if size else 0.0


def main() -> int:
    started = time.monotonic()
    process = subprocess.Popen(sys.argv[1:])
    with Watch(process.pid) as watch:
        status = process.wait()
    peak = watch.peak
    print(
        f"{time.monotonic() - started:.1f} s, at most {peak.total:,.0f} MB in all processes together, "
        f"{peak.workers:,.0f} MB in the workers; "
        f"driver {peak.driver:,.0f} MB, JVM {peak.jvm:,.0f} MB, largest worker {peak.worker:,.0f} MB"
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
