"""Run a command and print its seconds and the peak memory of all its processes together (Linux).

python benchmarks/memory.py COMMAND [ARGUMENT ...]

Memory is the proportional set size, so pages that processes share count once.
"""

import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

INTERVAL = 0.5  # seconds


def descendants(root: int) -> list[int]:
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
        children[parent].append(int(stat.parent.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children[found[-1]]
    return found


def memory(process: int) -> tuple[str, float]:
    """Name and megabytes of a process; nothing once it has ended."""
    folder = Path("/proc", str(process))
    try:
        size = re.search(r"^Pss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
        name = (folder / "comm").read_text().strip()
    except OSError:
        return "", 0.0
    return name, int(size[1]) / 1024 if size else 0.0


def main() -> int:
    started = time.monotonic()
    command = subprocess.Popen(sys.argv[1:])
    peak: dict[str, float] = {}
    while command.poll() is None:
        now: dict[str, float] = defaultdict(float)
        for process in descendants(command.pid):
            name, size = memory(process)
            now[name] += size
        if sum(now.values()) > sum(peak.values()):
            peak = dict(now)
        time.sleep(INTERVAL)
    parts = ", ".join(f"{name} {size:,.0f} MB" for name, size in sorted(peak.items()) if size >= 1)
    print(f"{time.monotonic() - started:.1f} s, at most {sum(peak.values()):,.0f} MB ({parts})")
    return command.returncode


if __name__ == "__main__":
    sys.exit(main())
