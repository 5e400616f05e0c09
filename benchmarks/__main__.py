"""The project beside what a user would run instead: alternating, in several rounds, as one table.

Prints and writes the table; says on the error stream what is going on. See benchmarks/README.md.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.bench import Bench, Sizes
from benchmarks.commands import CommandError, Commands, NotInstalledError
from benchmarks.files import files_of
from benchmarks.machine import describe
from benchmarks.report import COLUMNS, Figures, Line, Report, Row, table
from benchmarks.rows import ROWS
from vision_assets import settings

_TABLE = Path(__file__).with_name("table.md")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="vision_assets_bench_") as folder:
        try:
            bench, source = _prepare(Path(folder), options)
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        results = Results(options.rows)
        for number in range(1, options.rounds + 1):
            bench.next_round()
            for row in results.left(first=number == 1):
                _say(f"round {number} of {options.rounds}: {row.name} ...")
                results.measure(row, bench)
                options.output.write_text(results.text(source))
    print(options.output.read_text(), end="")
    return 1 if results.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--source", help="images, as for make run; else $VISION_ASSETS_SOURCE or the sample")
    parser.add_argument("--images", type=_positive, help="so many of them, evenly spaced; else all")
    parser.add_argument("--rounds", type=_positive, default=3, help="default 3")
    parser.add_argument("--rows", type=_rows, default=list(ROWS.values()), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--k", type=_positive, default=Sizes.k, help=f"visual words, default {Sizes.k}")
    parser.add_argument("--output", type=_file, default=_TABLE, help="default benchmarks/table.md")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _file(text: str) -> Path:
    if not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(text).parent}")
    return Path(text)


def _rows(text: str) -> list[Row]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in ROWS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"no row {', '.join(unknown) or 'named'}: there are {', '.join(ROWS)}"
        )
    return [row for row in ROWS.values() if row.name in names]


def _prepare(folder: Path, options: argparse.Namespace) -> tuple[Bench, str]:
    commands = Commands(folder / "commands")
    source = options.source or os.environ.get(settings.SOURCE)
    if not source:
        source = str(folder / "sample")
        commands.run(Path(sys.executable).with_name("vision-assets"), "sample", source)
    images = folder / "images"
    _say(f"taking the images out of {source} ...")
    total = commands.call("benchmarks.extract", source=source, images=options.images, folder=images)
    bench = Bench(commands, images, folder, Sizes(k=options.k))
    size = sum(file.stat().st_size for file in files_of(images)) / 1e6
    part = "" if bench.count == total.figures["images"] else f" of {total.figures['images']:,}"
    return bench, f"{bench.count:,}{part} images, {size:,.1f} MB"


class Results:
    """The figures of all rounds."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.failed = False
        self._rows = rows
        self._figures: dict[str, list[Figures]] = defaultdict(list)
        self._reasons: dict[str, str] = {}

    def left(self, *, first: bool) -> Iterable[Row]:
        """Yield the rows of a round."""
        return (row for row in self._rows if row.name not in self._reasons and (first or not row.once))

    def measure(self, row: Row, bench: Bench) -> None:
        """Measure a row; one that cannot be measured does not keep the others from it."""
        started = time.monotonic()
        try:
            self._figures[row.name].append(row.measure(bench))
        except NotInstalledError as error:
            self._reasons[row.name] = f"not measured: {error} is not installed"
        except Exception as error:  # noqa: BLE001 - whatever befell it, the others are measured
            self.failed = True
            self._reasons[row.name] = f"failed: {[repr(error), *str(error).splitlines()][-1]}"
            print(error if isinstance(error, CommandError) else repr(error), file=sys.stderr)
        _say(self._reasons.get(row.name) or f"{time.monotonic() - started:.0f} s")

    def text(self, source: str) -> str:
        """Return the table and what belongs below it, in Markdown."""
        reports = [report for row in self._rows for report in self._reports(row)]
        facts = [
            *describe(),
            ("images", source),
            ("rounds", f"{self._rounds()}, medians; in brackets the lowest and the highest"),
        ]
        parts = [
            "\n".join(f"- {name}: {fact}" for name, fact in facts),
            table(COLUMNS, [line.cells() for report in reports for line in report.lines]),
            *(report.details for report in reports if report.details),
        ]
        return "\n\n".join(parts) + "\n"

    def _rounds(self) -> int:
        return max(map(len, self._figures.values()), default=0)

    def _reports(self, row: Row) -> Iterable[Report]:
        if row.name in self._reasons:
            yield Report([Line(row.name, note=self._reasons[row.name])])
        if self._figures[row.name]:
            yield row.report(self._figures[row.name])


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs and what it wrote goes, too
    sys.exit(main())
