"""How long it takes until something happens."""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.report import Figures, Line, Report, Row, median, seconds
from vision_assets import settings

_COMMANDS = {
    "`vision-assets path sift_features`": (
        "≤ 0.3 s",
        (str(Path(sys.executable).with_name("vision-assets")), "path", "sift_features"),
    ),
    "`import vision_assets.definitions`": (
        "≤ 3 s",
        (sys.executable, "-c", "import vision_assets.definitions"),
    ),
}


def _measure(bench: Bench) -> Figures:
    data = {settings.DATA: str(bench.data)}
    return {
        name: statistics.median(
            bench.commands.run(*command, environment=data).seconds for _ in range(bench.sizes.starts)
        )
        for name, (_, command) in _COMMANDS.items()
    }


def _report(rounds: Sequence[Figures]) -> Report:
    return Report(
        [Line(name, seconds(median(rounds, name)), target=target) for name, (target, _) in _COMMANDS.items()]
    )


STARTUP = Row("startup", _measure, _report)
