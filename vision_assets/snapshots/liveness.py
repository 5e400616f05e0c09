"""Whether the process that began something may still be at work on it, here or on another machine."""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HEARTBEAT_INTERVAL = timedelta(seconds=30)
"""How often a process writes that it is alive."""

SILENCE_LIMIT = timedelta(minutes=10)
"""After so long without a beat a process that cannot be looked up is taken for dead."""

ENDED = "ended"
"""In place of a sign of life: what it began is left for others, although it may go on with other things."""


@dataclass(frozen=True)
class _Process:
    """A process, told from every other one on any machine and at any time.

    Parameters
    ----------
    boot : str
        Identifies the machine and its start; empty where that cannot be told.
    namespace : int
        Of the process ids: containers of one machine have their own.
    pid : int
    started : int
        Clock ticks from the machine's start to the process's; tells it from a later one with its number.
    """

    boot: str
    namespace: int
    pid: int
    started: int

    @property
    def is_of_this_machine(self) -> bool:
        """Tell whether the process can be looked up from here."""
        return bool(self.boot) and (self.boot, self.namespace) == (_boot(), _namespace())

    @property
    def is_alive(self) -> bool:
        """Tell whether a process of this machine still runs."""
        return _started(self.pid) == self.started


UNKNOWN_PROCESS: Mapping[str, Any] = {"boot": "", "namespace": 0, "pid": 0, "started": 0}
"""For `may_be_alive`: a process of which only its signs of life are known."""


def may_be_alive(process: Mapping[str, Any], heartbeat: str, now: datetime | None = None) -> bool:
    """Tell whether a process may still be at work.

    Parameters
    ----------
    process : mapping
        What `this_process` returned there.
    heartbeat : str
        Its last sign of life: UTC, ISO 8601; or `ENDED`.
    now : datetime, optional

    Returns
    -------
    bool
        False only if it has ended for sure, or cannot be looked up and has been silent for `SILENCE_LIMIT`.
    """
    if heartbeat == ENDED:
        return False
    known = _Process(**process)
    if known.is_of_this_machine:
        return known.is_alive
    return (now or datetime.now(UTC)) - datetime.fromisoformat(heartbeat) < SILENCE_LIMIT


def this_process() -> dict[str, Any]:
    """Describe this process for `may_be_alive`."""
    pid = os.getpid()
    return asdict(_Process(_boot(), _namespace(), pid, _started(pid) or 0))


def utc_now() -> str:
    """Return what a process writes at every beat."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_heartbeat(text: str) -> bool:
    """Tell whether a text is a sign of life, or says that there will be none."""
    if text == ENDED:
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


class HeartbeatThread:
    """Has something done at every beat while anything is registered, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beats: dict[object, Callable[[], object]] = {}
        self._ended = threading.Event()

    def start(self, key: object, heartbeat: Callable[[], object]) -> None:
        """Have `heartbeat` called every `HEARTBEAT_INTERVAL`, until `stop` with the same key."""
        with self._lock:
            if not self._beats:
                self._ended = threading.Event()
                threading.Thread(target=self._run, args=(self._ended,), name="heart", daemon=True).start()
            self._beats[key] = heartbeat

    def stop(self, key: object) -> None:
        """End the beats of a key, if there are any."""
        with self._lock:
            if self._beats.pop(key, None) and not self._beats:
                self._ended.set()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_INTERVAL.total_seconds()):
            with self._lock:
                keys = list(self._beats)
            for key in keys:
                # Who stops a beat waits for one that goes on; none comes after it. Storage may be away for a
                # while; the next beat tries again.
                with self._lock, suppress(Exception):
                    self._beats.get(key, lambda: None)()


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - what the link leads to has no path
    except OSError:
        return 0


def _started(pid: int) -> int | None:
    """Return when a process has started, in clock ticks since the machine has; None if there is none."""
    # The name of the program, in parentheses, may hold anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
