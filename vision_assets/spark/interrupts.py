"""Interrupts while Spark's JVM is called."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def as_keyboard_interrupts() -> Iterator[None]:
    """Leave the block by `KeyboardInterrupt` if SIGINT or SIGTERM arrives, whoever had a handler before.

    py4j closes its connection after a `KeyboardInterrupt` alone. After any other exception the answer of the
    interrupted call stays in the connection, and the next call takes it for its own.
    """
    if threading.current_thread() is not threading.main_thread():  # only that one receives signals
        yield
        return
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = [number for number in _SIGNALS if before[number] not in (signal.SIG_IGN, None)]
    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    except BaseException:
        # The interrupted call may have raised something else.
        if received:
            raise KeyboardInterrupt from None
        raise
    else:
        if received:
            raise KeyboardInterrupt
    finally:
        for number in handled:
            signal.signal(number, before[number])


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handler of SIGINT after the block: PySpark's calls the JVM in the middle of a call."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
