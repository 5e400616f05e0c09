"""What `make run` shows of a run: lines, and bars on a terminal."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from vision_assets.cli.bars import Bars
from vision_assets.spark.progress import Progress

BAR = "━"
RUN = """
from vision_assets.spark.progress import Progress, show
print("it starts", flush=True)
print("shown:", show(Progress("sift_features", "images", 3, 12)), flush=True)
show(Progress("sift_features", "images", 12, 12, finished=True))
print("100% [done] :smile: half a line", end="")
"""


def watch(code: str, log: Path, stdout: int, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "vision_assets.cli.watch", log, sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TERM": "xterm"} | environment,
    )


class Terminal:
    """A pseudo-terminal."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()

    def read(self) -> str:
        """Read to the end, which comes when no process has the other side open."""
        os.close(self.theirs)
        data = b""
        try:
            while more := os.read(self._ours, 1 << 16):
                data += more
        except OSError:  # Linux's end of a terminal
            pass
        finally:
            os.close(self._ours)
        return data.decode()


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_shows_lines_and_a_bar(tmp_path: Path) -> None:
    terminal, log = Terminal(), tmp_path / "log"
    process = watch(RUN, log, terminal.theirs)
    shown = without_codes(terminal.read())
    assert process.wait() == 0
    lines = [line.strip() for line in re.split(r"[\r\n]+", shown)]
    assert "it starts" in lines
    assert "shown: True" in lines
    assert "100% [done] :smile: half a line" in lines
    (last,) = [line for line in lines if line.startswith("sift_features")][-1:]
    assert re.fullmatch(rf"sift_features {BAR}+ +12 images .*0:00:0\d", last)
    assert lines.index("it starts") < len(lines) - 1 - lines[::-1].index(last)
    assert log.read_text() == "it starts\nshown: True\n100% [done] :smile: half a line"


def test_without_a_terminal_the_output_is_passed_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = watch(RUN, log, subprocess.PIPE)
    printed, _ = process.communicate()
    assert process.returncode == 0
    assert printed == b"it starts\nshown: False\n100% [done] :smile: half a line"
    assert log.read_bytes() == printed


def test_a_terminal_that_cannot_draw_gets_lines(tmp_path: Path) -> None:
    terminal = Terminal()
    process = watch(RUN, tmp_path / "log", terminal.theirs, TERM="dumb")
    shown = terminal.read()
    assert process.wait() == 0
    assert "shown: False" in shown
    assert BAR not in shown


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(3)", 3), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137)],
)
def test_the_status_is_that_of_the_command(code: str, status: int, tmp_path: Path) -> None:
    process = watch(code, tmp_path / "log", subprocess.PIPE)
    process.communicate()
    assert process.returncode == status


ENDURING = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"interrupted\\n"))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def test_the_first_interrupt_asks_the_command_to_stop_and_the_second_kills_it(tmp_path: Path) -> None:
    with watch(ENDURING, tmp_path / "log", subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        lines = sorted([process.stdout.readline(), process.stdout.readline()])
        assert lines[0].startswith(b"Stopping. Press Ctrl-C again")
        assert lines[1] == b"interrupted\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b""
    assert process.returncode == 128 + signal.SIGKILL


def test_a_command_that_handles_no_signals_yet_ends_without_a_stack(tmp_path: Path) -> None:
    with watch(
        "import os, time; os.write(1, b'ready'); time.sleep(60)", tmp_path / "log", subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"ready"
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.stdout.read()
    assert process.returncode == 128 + signal.SIGINT


def test_the_command_ends_when_its_output_is_not_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = watch("while True: print('more')", tmp_path / "log", writing)
    os.close(writing)
    assert os.read(reading, 4) == b"more"
    os.close(reading)
    assert process.wait() != 0


class Drawn:
    """Bars on a terminal of text, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._text = io.StringIO()
        console = Console(file=self._text, force_terminal=True, color_system=None, width=100)
        self.bars = Bars(console, clock=lambda: self.now)

    def last(self, *, success: bool = True) -> Iterator[list[str]]:
        """Close the bars; yield the words of each row."""
        self.bars.close(success=success)
        *_, table = re.split(r"\x1b\[2K", self._text.getvalue())
        for row in without_codes(table).splitlines():
            yield row.replace(BAR, "").replace("╸", "").replace("╺", "").split()


def test_a_row_says_what_is_done_how_fast_and_what_is_left() -> None:
    drawn = Drawn()
    drawn.bars.update(Progress("sift_features", "images", 0, 9144))
    drawn.now = 30
    drawn.bars.update(Progress("sift_features", "images", 3000, 9144))
    drawn.now = 31
    assert row_of(drawn) == ["sift_features", "3,000", "of", "9,144", "images", "100/s", "0:01:00", "left"]


def row_of(drawn: Drawn) -> list[str]:
    """Return the words of the only row."""
    with drawn.bars._console.capture() as captured:
        drawn.bars._console.print(drawn.bars._table())
    return without_codes(captured.get()).replace(BAR, "").replace("╸", "").replace("╺", "").split()


def test_finished_rows_say_how_many_and_how_long() -> None:
    drawn = Drawn()
    drawn.bars.update(Progress("image_seqfile", "images", 0, 12))
    drawn.now = 61
    drawn.bars.update(Progress("image_seqfile", "images", 12, 12, finished=True))
    drawn.bars.update(Progress("sift_features", "images", 0, 12))
    drawn.now = 65
    assert list(drawn.last()) == [
        ["image_seqfile", "12", "images", "0.2/s", "0:01:01"],
        ["sift_features", "12", "images", "0:00:00"],
    ]


def test_a_run_that_fails_leaves_its_bar_where_it_was() -> None:
    drawn = Drawn()
    drawn.bars.update(Progress("sift_features", "images", 4, 12))
    assert list(drawn.last(success=False)) == [["sift_features", "4", "of", "12", "images", "stopped"]]


def test_one_row_for_an_asset_that_counts_twice() -> None:
    """A dictionary counts its iterations, and then writes words, which are not counted."""
    drawn = Drawn()
    for index in range(8):
        drawn.now += 2
        drawn.bars.update(Progress("kmeans_dictionary", "iterations", index, 10))
    drawn.bars.update(Progress("kmeans_dictionary", "words", 0))
    drawn.now += 1
    drawn.bars.update(Progress("kmeans_dictionary", "words", 0, finished=True))
    assert list(drawn.last()) == [["kmeans_dictionary", "7", "iterations", "0.47/s", "0:00:15"]]


def test_an_asset_that_is_tried_again_counts_from_zero() -> None:
    drawn = Drawn()
    drawn.bars.update(Progress("sift_features", "images", 8, 12))
    drawn.now = 100
    drawn.bars.update(Progress("sift_features", "images", 0, 12))
    drawn.now = 101
    drawn.bars.update(Progress("sift_features", "images", 2, 12))
    assert row_of(drawn)[-3:] == ["2/s", "0:00:05", "left"]
    drawn.bars.close(success=False)
