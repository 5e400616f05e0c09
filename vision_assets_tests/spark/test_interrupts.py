import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from vision_assets.spark.interrupts import as_keyboard_interrupts, handlers_kept

SIGNALS = [signal.SIGINT, signal.SIGTERM]


class AnotherError(BaseException):
    """What a handler from elsewhere raises."""


def raise_another(*_: object) -> None:
    raise AnotherError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Have both signals raise `AnotherError`, as Dagster does during a step."""
    before = [signal.signal(number, raise_another) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_keyboard_interrupt_in_the_block_alone(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), as_keyboard_interrupts():
        os.kill(os.getpid(), number)
    with pytest.raises(AnotherError):
        os.kill(os.getpid(), number)


def test_it_is_one_whatever_the_interrupted_call_makes_of_it() -> None:
    def call() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("no answer") from None

    with pytest.raises(KeyboardInterrupt), as_keyboard_interrupts():
        call()
    with pytest.raises(KeyboardInterrupt), as_keyboard_interrupts(), suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_other_exceptions_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match="wrong"), as_keyboard_interrupts():
        raise ValueError("wrong")


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with as_keyboard_interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_set_no_handler() -> None:
    def enter() -> dict[signal.Signals, object]:
        with as_keyboard_interrupts(), handlers_kept() as kept:
            return kept

    with ThreadPoolExecutor() as threads:
        assert threads.submit(enter).result() == {}


def test_a_handler_that_is_set_in_the_block_is_gone_afterwards() -> None:
    with handlers_kept():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGINT) is raise_another
