import threading
from datetime import timedelta

import pytest

from vision_assets.snapshots import heartbeats
from vision_assets.snapshots.heartbeats import HeartbeatThread


def test_the_thread_runs_until_the_last_heartbeat_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_INTERVAL", timedelta(milliseconds=1))
    thread, reached = HeartbeatThread(), {name: threading.Event() for name in "ab"}
    others = set(threading.enumerate())

    def heartbeat(name: str) -> None:
        reached[name].set()
        raise OSError("the storage is unreachable")

    for _ in range(2):  # it can start again
        for name, event in reached.items():
            event.clear()
            thread.start(name, lambda name=name: heartbeat(name))  # type: ignore[misc]
        assert all(event.wait(60) for event in reached.values())
        thread.stop("a")
        reached["b"].clear()
        assert reached["b"].wait(60)
        thread.stop("b")
        thread.stop("b")
    for running in [t for t in threading.enumerate() if t.name == "heartbeat" and t not in others]:
        running.join(60)
        assert not running.is_alive()


def test_no_heartbeat_comes_after_its_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_INTERVAL", timedelta(0))
    others = threading.enumerate()
    thread, beating, stopping = HeartbeatThread(), threading.Event(), threading.Event()
    calls: list[str] = []

    def long_heartbeat() -> None:
        beating.set()
        stopping.wait(60)
        calls.append("long")

    thread.start("long", long_heartbeat)
    assert beating.wait(60)

    def stop() -> None:
        thread.stop("long")
        calls.append("stopped")

    stopper = threading.Thread(target=stop)
    stopper.start()
    stopping.set()
    stopper.join(60)
    assert calls[-1] == "stopped"
    for running in [t for t in threading.enumerate() if t not in others]:
        running.join(60)
    assert calls[-1] == "stopped"
