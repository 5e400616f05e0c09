"""Progress bars on a terminal: a row for each asset, below the lines that are printed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from vision_assets.spark.progress import Progress, rate

_BAR_WIDTH = 20
_REFRESHES_PER_SECOND = 4


@dataclass
class _Row:
    """One asset: what it last said, and when (in seconds of a monotonic clock)."""

    progress: Progress
    started: float  # first message of the asset
    since: float  # first message about what is counted now
    first: int  # how many were done by then
    latest: float  # newest message

    def update(self, progress: Progress, now: float) -> None:
        self.latest = now
        if not progress.done and not progress.total:  # what was counted before says more
            self.progress = self.progress._replace(finished=progress.finished)
            return
        if progress.what != self.progress.what or progress.done < self.progress.done:
            self.since, self.first = now, progress.done
        self.progress = progress

    def count(self) -> str:
        _, what, done, total, finished = self.progress
        if total and not finished:
            return f"{done:,} of {total:,} {what}"
        return f"{done:,} {what}" if done else ""

    def rate(self) -> str:
        done, seconds = self.progress.done - self.first, self.latest - self.since
        return rate(done / seconds) if self.progress.total and done and seconds else ""

    def time(self, now: float) -> str:
        if self.progress.finished:
            return _clock(self.latest - self.started)
        if self.progress.total and (done := self.progress.done - self.first):
            left = (self.latest - self.since) / done * (self.progress.total - self.progress.done)
            return f"{_clock(max(0.0, left - (now - self.latest)))} left"
        return _clock(now - self.started)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Bars:
    """Prints lines above a table that has a row for each asset: name, bar, count, rate and time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        The terminal; stdout if None.
    clock : callable
        Returns seconds.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console()
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._rest = b""
        self._closed = False
        self._live = Live(
            console=self._console, get_renderable=self._table, refresh_per_second=_REFRESHES_PER_SECOND
        )

    def write(self, data: bytes) -> None:
        """Print the lines that the output so far completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._print(line)

    def update(self, progress: Progress) -> None:
        """Draw the progress of an asset."""
        now = self._clock()
        if row := self._rows.get(progress.asset):
            row.update(progress, now)
        else:
            self._rows[progress.asset] = _Row(progress, now, now, progress.done, now)
        if not self._live.is_started:
            self._live.start()

    def close(self, *, success: bool) -> None:
        """Print what is left, and leave the bars as they are.

        Parameters
        ----------
        success : bool
            Whether all assets are done, though a last message may be missing.
        """
        if self._rest:
            self._print(self._rest)
        for row in self._rows.values():
            if success and not row.progress.finished:
                done = row.progress.total or row.progress.done
                row.progress = row.progress._replace(finished=True, done=done)
        self._closed = True
        self._live.stop()

    def _print(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace")
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _table(self) -> Table:
        now = self._clock()
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(max_width=_BAR_WIDTH)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        for asset, row in list(self._rows.items()):  # another thread draws while rows are added
            stopped = self._closed and not row.progress.finished
            when = "stopped" if stopped else row.time(now)
            table.add_row(asset, self._bar(row.progress), row.count(), row.rate(), when)
        return table

    def _bar(self, progress: Progress) -> ProgressBar:
        if progress.finished:
            return ProgressBar(total=1, completed=1)
        if progress.total or self._closed:
            return ProgressBar(total=progress.total or 1, completed=progress.done)
        return ProgressBar(total=None)  # a pulse
