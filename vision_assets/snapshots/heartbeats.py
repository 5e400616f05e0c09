"""Calls that a process repeats to show that it is alive."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

HEARTBEAT_INTERVAL = timedelta(seconds=30)
"""Time between two heartbeats."""


class HeartbeatThread:
    """Calls registered functions once per `HEARTBEAT_INTERVAL`, in a thread that runs while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heartbeats: dict[object, Callable[[], object]] = {}
        self._ended = threading.Event()

    def start(self, key: object, heartbeat: Callable[[], object]) -> None:
        """Call `heartbeat` in every interval from now on, until `stop` is called with the same key."""
        with self._lock:
            if not self._heartbeats:
                self._ended = threading.Event()
                threading.Thread(target=self._run, args=(self._ended,), name="heartbeat", daemon=True).start()
            self._heartbeats[key] = heartbeat

    def stop(self, key: object) -> None:
        """End the heartbeats of a key, if there are any; none comes after this call."""
        with self._lock:
            if self._heartbeats.pop(key, None) and not self._heartbeats:
                self._ended.set()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_INTERVAL.total_seconds()):
            with self._lock:
                keys = list(self._heartbeats)
            for key in keys:
                # `stop` waits for a heartbeat that goes on, so the lock is held during the call. The storage
                # may be unreachable for a while; the next heartbeat tries again.
                with self._lock, suppress(Exception):
                    self._heartbeats.get(key, lambda: None)()
