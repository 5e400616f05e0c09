"""From the figures of some rounds to lines of the table."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.memory import Peak

Figures = Mapping[str, Any]
"""What one round gave: name to number."""

COLUMNS = ("", "ours", "against", "theirs", "ratio", "target", "note")


@dataclass(frozen=True)
class Line:
    """One line of the table, as it is printed."""

    subject: str
    ours: str = ""
    against: str = ""
    theirs: str = ""
    ratio: str = ""
    target: str = ""
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return self.subject, self.ours, self.against, self.theirs, self.ratio, self.target, self.note


@dataclass(frozen=True)
class Report:
    """The lines of a row, and what there is to say below the table."""

    lines: Sequence[Line]
    details: str = ""


@dataclass(frozen=True)
class Row:
    """What is measured in each round, or in the first alone, and what is said of it."""

    name: str
    measure: Callable[[Bench], Figures]
    report: Callable[[Sequence[Figures]], Report]
    once: bool = False


PEAKS = ("driver", "jvm", "worker", "workers", "total")
PEAK_TITLES = ("driver", "JVM", "largest worker", "workers together", "all together")


def peaks(name: str, peak: Peak) -> dict[str, float]:
    """Return the figures of a peak, named after what was measured and their part: ``"all jvm"``."""
    return {f"{name} {part}": getattr(peak, part) for part in PEAKS}


def peak_cells(rounds: Sequence[Figures], name: str) -> list[str]:
    """Return the medians of what `peaks` has named, in its order."""
    return [megabytes(median(rounds, f"{name} {part}")) for part in PEAKS]


def median(rounds: Sequence[Figures], name: str) -> float:
    return float(statistics.median(figures[name] for figures in rounds))


def compare(
    rounds: Sequence[Figures],
    subject: str,
    ours: str,
    against: str,
    theirs: str,
    target: str,
    *,
    faster: bool = False,
    note: str = "",
) -> Line:
    """Compare two figures, named `ours` and `theirs`, round by round.

    The ratio is the median of the rounds' own ratios: of our time to theirs, or how many times faster we are.
    """
    ratios = sorted(
        figures[theirs] / figures[ours] if faster else figures[ours] / figures[theirs] for figures in rounds
    )
    ratio = f"{number(statistics.median(ratios))}" + (" times faster" if faster else "")
    if len(ratios) > 1:
        ratio += f" ({number(ratios[0])} to {number(ratios[-1])})"
    return Line(
        subject, seconds(median(rounds, ours)), against, seconds(median(rounds, theirs)), ratio, target, note
    )


def seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value / 1e-6)} µs"


def number(value: float) -> str:
    """Return a number of about three digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def megabytes(value: float) -> str:
    return f"{value:,.0f} MB"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
