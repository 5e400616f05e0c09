"""Calls of what may crash or never return, guarded so that one item is all that this costs.

The first attempt of a Spark task makes the calls in the worker itself, for nothing more than a timer. A crash
or the timer ends the worker, and Spark tries the task again. Later attempts make the calls in a process of
their own, which takes the worker's place in the crash.
"""

import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, TypeVar

from pyspark import TaskContext

SECONDS_PER_CALL = 15 * 60
"""SIFT on 200 megapixels full of keypoints takes about four minutes of a core."""

_FORK = get_context("fork")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Crash(NamedTuple):
    """How a process ended that was to return a result.

    Parameters
    ----------
    exit_code : int
        Its exit status, or minus the number of the signal that ended it.
    """

    exit_code: int

    @property
    def timed_out(self) -> bool:
        """Whether the call took too long."""
        return self.exit_code == -signal.SIGALRM

    def __str__(self) -> str:
        if self.timed_out:
            return f"took longer than {SECONDS_PER_CALL / 60:g} minutes"
        if self.exit_code >= 0:
            return f"exit status {self.exit_code}"
        name = signal.Signals(-self.exit_code).name
        return f"{name}: out of memory?" if name == "SIGKILL" else name


def run_guarded(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result | Crash]:
    """Call a function with each item, as the attempt of this Spark task asks for.

    Parameters
    ----------
    function : callable
        Takes an item. What it returns can be pickled.
    items : sequence

    Yields
    ------
    object or Crash
        For each item in order what the function returns; at later attempts a `Crash` where it never does.
    """
    context = TaskContext.get()
    again = context is not None and context.attemptNumber() > 0
    return (run_isolated if again else _timed)(function, items)


def run_isolated(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result | Crash]:
    """Call a function with each item in a process forked from this one, in a new one after each crash.

    Parameters
    ----------
    function : callable
        Takes an item. What it returns can be pickled.
    items : sequence

    Yields
    ------
    object or Crash
        For each item in order what the function returns, or how the process ended that called it.

    Raises
    ------
    RuntimeError
        If the function raises an exception; with its traceback.
    """
    while items:
        done, crash = yield from _until_crash(function, items)
        # A process that has made other calls may suffer from what these did to its memory. An item is at
        # fault if it ends a fresh one.
        if crash and (done == 0 or crash.timed_out):
            yield crash
            done += 1
        items = items[done:]


def _timed(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """Call the function with each item; a call that takes too long ends this process."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for item in items:
        signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_CALL)
        try:
            result = function(item)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        yield result


def _until_crash(
    function: Callable[[_Item], _Result], items: Sequence[_Item]
) -> Generator[_Result, None, tuple[int, Crash | None]]:
    """Yield the results of a new process; return how many there were, and what ended it before the last."""
    receiver, sender = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_send_results, args=(function, items, sender))
    process.start()
    sender.close()
    try:
        for done in range(len(items)):
            try:
                result, error = receiver.recv()
            except (EOFError, OSError):  # the latter if it ended amid a result
                process.join()
                return done, Crash(process.exitcode or 0)
            if error:
                raise RuntimeError(error)
            yield result
        return len(items), None
    finally:
        receiver.close()
        process.kill()
        process.join()


def _send_results(function: Callable[[_Item], _Result], items: Sequence[_Item], sender: Connection) -> None:
    # Spark sees that a worker has died when its connection closes: nobody else may hold it open. And this
    # process sees that the worker has died when nobody holds the other end of the pipe.
    # All numbers up to the limit would take minutes where that is a billion.
    for number in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        if number > 2 and number != sender.fileno():
            with suppress(OSError):  # the listing's own is closed already
                os.close(number)
    try:
        for result in _timed(function, items):
            sender.send((result, None))
    except Exception:  # noqa: BLE001 - the worker raises it
        sender.send((None, traceback.format_exc()))
