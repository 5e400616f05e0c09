import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets.spark import progress
from vision_assets.spark.progress import Progress, progress_line, reporting, show


@pytest.mark.parametrize(
    ("rows", "total", "finished", "line"),
    [
        (3120, 9144, 12, "3,120 of 9,144 images, 98/s, 61 s left (12 of 35 tasks)"),
        (0, 9144, 0, "0 of 9,144 images (0 of 35 tasks)"),
        (3120, None, 7, "3,120 images, 98/s, 127 s left (7 of 35 tasks)"),
        (9144, 9144, 35, "9,144 of 9,144 images, 287/s, 0 s left (35 of 35 tasks)"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_what_is_left(
    rows: int, total: int | None, finished: int, line: str
) -> None:
    assert progress_line("images", rows, total, finished=finished, tasks=35, seconds=31.84) == line


def test_a_write_is_reported_while_it_runs(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_INTERVAL", 0.01)
    lines: list[str] = []
    with reporting(spark, "numbers", 1000, lines.append):
        spark.range(1000, numPartitions=40).write.parquet(f"{tmp_path}/numbers")
    assert lines
    assert all(" of 1,000 numbers" in line and " of 40 tasks)" in line for line in lines)
    reported = len(lines)
    spark.range(10).collect()
    assert len(lines) == reported, "nothing is reported after the block"


class Display:
    """A program that draws progress."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._messages: list[bytes] = []
        self._thread = threading.Thread(target=self._receive)

    def _receive(self) -> None:
        while message := self._socket.recv(1 << 16):
            self._messages.append(message)

    def start(self) -> None:
        self._thread.start()

    def received(self) -> list[Progress]:
        """Stop, and return all messages."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", self.address)
        self._thread.join()
        return [Progress.from_bytes(message) for message in self._messages]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[Display]:
    with tempfile.TemporaryDirectory() as folder:  # a short name, as sockets need
        display = Display(f"{folder}/socket")
        monkeypatch.setenv(progress.DISPLAY, display.address)
        yield display
        display.close()


def test_a_display_gets_messages_and_the_log_no_lines(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, display: Display
) -> None:
    monkeypatch.setattr(progress, "_MESSAGE_INTERVAL", 0.01)
    display.start()
    lines: list[str] = []
    with reporting(spark, "numbers", 1000, lines.append, "asset"):
        spark.range(1000, numPartitions=4).write.parquet(f"{tmp_path}/numbers")
    assert not lines
    first, *others, last = display.received()
    assert first == Progress("asset", "numbers", 0, 1000)
    assert all(message[:2] == ("asset", "numbers") and not message.finished for message in others)
    assert [message.done for message in others] == sorted(message.done for message in others)
    assert last == Progress("asset", "numbers", 1000, 1000, finished=True)


def test_a_write_that_fails_is_not_finished(spark: SparkSession, display: Display) -> None:
    display.start()
    with pytest.raises(RuntimeError), reporting(spark, "numbers", 10, print, "asset"):
        raise RuntimeError
    assert display.received() == [Progress("asset", "numbers", 0, 10)]


def test_a_display_that_is_behind_or_gone_is_no_error(
    display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    for done in range(1000):  # more than a socket holds
        assert show(Progress("asset", "numbers", done))
    display.start()
    assert display.received()[0] == Progress("asset", "numbers", 0)
    monkeypatch.setenv(progress.DISPLAY, "/nothing/here")
    assert not show(Progress("asset", "numbers", 1))
    monkeypatch.delenv(progress.DISPLAY)
    assert not show(Progress("asset", "numbers", 1))
