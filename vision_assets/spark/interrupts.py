"""Interrupts while Spark's JVM is called."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def as_keyboard_interrupts() -> Iterator[None]:
    """Leave the block by `KeyboardInterrupt` if SIGINT or SIGTERM arrives, whoever had a handler before.

    py4j closes its connection after a `KeyboardInterrupt` alone. After any other exception the answer of the
    interrupted call stays in the connection, and the next call takes it for its own.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    with handlers_kept() as before:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        try:
            yield
        except BaseException:
            # The interrupted call may have raised something else.
            if received:
                raise KeyboardInterrupt from None
            raise
        if received:
            raise KeyboardInterrupt


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended, and leave it by `KeyboardInterrupt` then."""
    received: list[int] = []
    with handlers_kept() as before:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: received.append(number))
        yield
    if received:
        raise KeyboardInterrupt


@contextmanager
def handlers_kept() -> Iterator[dict[signal.Signals, Any]]:
    """Restore the handlers of SIGINT and SIGTERM after the block: PySpark's calls the JVM within a call.

    Yields
    ------
    dict
        Signal to handler. Empty where none can be set: in other threads than the main one.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS if is_main}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
