import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from vision_assets.snapshots import liveness
from vision_assets.snapshots.liveness import (
    ENDED,
    SILENCE_LIMIT,
    HeartbeatThread,
    may_be_alive,
    this_process,
    utc_now,
)

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def test_this_process_is_alive_however_long_it_is_silent() -> None:
    assert may_be_alive(this_process(), "2000-01-01T00:00:00+00:00")


def test_what_was_left_is_nobodys() -> None:
    assert not may_be_alive(this_process(), ENDED)


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    code = "from vision_assets.snapshots.liveness import this_process; print(this_process())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = eval(child.stdout)
    assert ended["pid"] != os.getpid()
    assert not may_be_alive(ended, utc_now())


def test_a_killed_process_that_nobody_has_waited_for_is_dead() -> None:
    code = (
        "from vision_assets.snapshots.liveness import this_process\n"
        "print(this_process(), flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        process = eval(child.stdout.readline())
        assert may_be_alive(process, utc_now())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not may_be_alive(process, utc_now())


def test_a_later_process_with_the_same_number_is_another() -> None:
    process = this_process()
    assert not may_be_alive(process | {"started": process["started"] + 1}, utc_now())


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"boot": ""}, {"namespace": 1}])
def test_one_that_cannot_be_looked_up_is_alive_while_it_shows_signs_of_life(
    elsewhere: dict[str, object],
) -> None:
    process = this_process() | elsewhere | {"started": 1}
    recent, old = NOW - SILENCE_LIMIT + timedelta(seconds=1), NOW - SILENCE_LIMIT
    assert may_be_alive(process, recent.isoformat(), NOW)
    assert not may_be_alive(process, old.isoformat(), NOW)


def test_a_heart_beats_for_all_until_the_last_one_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "HEARTBEAT_INTERVAL", timedelta(milliseconds=1))
    heart, reached = HeartbeatThread(), {name: threading.Event() for name in "ab"}
    others = set(threading.enumerate())

    def heartbeat(name: str) -> None:
        reached[name].set()
        raise OSError("the storage is away")

    for _ in range(2):  # it can start again
        for name, event in reached.items():
            event.clear()
            heart.start(name, lambda name=name: heartbeat(name))  # type: ignore[misc]
        assert all(event.wait(60) for event in reached.values())
        heart.stop("a")
        reached["b"].clear()
        assert reached["b"].wait(60)
        heart.stop("b")
        heart.stop("b")
    for thread in [t for t in threading.enumerate() if t.name == "heart" and t not in others]:
        thread.join(60)
        assert not thread.is_alive()


def test_no_beat_comes_after_its_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "HEARTBEAT_INTERVAL", timedelta(0))
    others = threading.enumerate()
    heart, beating, stopping = HeartbeatThread(), threading.Event(), threading.Event()
    beats: list[str] = []

    def long_beat() -> None:
        beating.set()
        stopping.wait(60)
        beats.append("long")

    heart.start("long", long_beat)
    assert beating.wait(60)

    def stop() -> None:
        heart.stop("long")
        beats.append("stopped")

    stopper = threading.Thread(target=stop)
    stopper.start()
    stopping.set()
    stopper.join(60)
    assert beats[-1] == "stopped"
    for thread in [thread for thread in threading.enumerate() if thread not in others]:
        thread.join(60)
    assert beats[-1] == "stopped"
