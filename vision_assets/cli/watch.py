"""Runs a command and shows what it prints; on a terminal also a progress bar for each asset.

Dagster copies the output of a step to the terminal from another process, which would tear a bar that the
step draws. So the command's output passes through this process, and nothing else writes to the terminal.
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol

from vision_assets.spark.progress import DISPLAY, Progress

_READ_BYTES = 1 << 16
_NOTICE_SECONDS = 0.5
_INTERRUPTED = 130  # exit status of a program that Ctrl-C ended: 128 and the number of the signal
_STOPPING = b"Stopping. Press Ctrl-C again to kill the run; the next run continues from what is finished.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and copy its output to stdout and to a file. Draw bars if stdout is a terminal.

    Parameters
    ----------
    arguments : sequence of str, optional
        The file, the command and its arguments; those of the process if None.

    Returns
    -------
    int
        Exit status of the command; 128 plus the signal's number if a signal ended it.
    """
    file, *command = sys.argv[1:] if arguments is None else arguments
    with Path(file).open("wb") as log, ExitStack() as stack:
        if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            return _run(command, log, _Plain(), None)
        from vision_assets.cli.bars import Bars  # noqa: PLC0415 - Rich only for a terminal

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="progress-"))
        messages = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        messages.bind(f"{folder}/socket")
        return _run(command, log, Bars(), messages)


class _Screen(Protocol):
    def write(self, data: bytes) -> None: ...

    def update(self, progress: Progress) -> None: ...

    def close(self, *, success: bool) -> None: ...


class _Plain:
    """Passes output on as it is."""

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def update(self, progress: Progress) -> None: ...

    def close(self, *, success: bool) -> None: ...


def _run(command: Sequence[str], log: IO[bytes], screen: _Screen, messages: socket.socket | None) -> int:
    # In a session of its own: Ctrl-C would end the processes that pass on the command's output, too.
    process = subprocess.Popen(  # noqa: S603 - the user's own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | ({DISPLAY: messages.getsockname()} if messages else {}),
        start_new_session=True,
    )
    notices: list[bytes] = []

    def stop(*_: object) -> None:
        notices.append(_STOPPING)
        # Not SIGINT: Python answers it by a stack while the command is still importing its modules.
        process.send_signal(signal.SIGTERM if len(notices) == 1 else signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        for data in _output(process, screen, messages, notices):
            log.write(data)
            screen.write(data)
    except BrokenPipeError:  # nobody reads what the command prints
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        process.terminate()
    finally:
        status = process.wait()
        screen.close(success=status == 0)
    if notices and status == -signal.SIGTERM:  # it had not begun to handle signals
        return _INTERRUPTED
    return status if status >= 0 else 128 - status


def _output(
    process: subprocess.Popen[bytes],
    screen: _Screen,
    messages: socket.socket | None,
    notices: Sequence[bytes],
) -> Iterator[bytes]:
    """Yield the output of a process up to its end, with a notice in it when it is told to stop."""
    told = False
    assert process.stdout  # noqa: S101 - it is a pipe
    with process.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        if messages:
            selector.register(messages, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(_NOTICE_SECONDS):
                if messages and key.fileobj is messages:
                    screen.update(Progress.from_bytes(messages.recv(_READ_BYTES)))
                elif data := os.read(key.fd, _READ_BYTES):
                    yield data
                else:
                    return
            if notices and not told:
                told = True
                yield notices[0]


if __name__ == "__main__":
    sys.exit(main())
