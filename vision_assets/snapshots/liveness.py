"""Whether the process that wrote a lease may still be alive, on this machine or another.

``/proc`` is read directly: psutil tells neither the boot nor the namespace of a process id, and
its ``create_time()`` changes when the clock is set.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SILENCE_LIMIT = timedelta(minutes=10)
"""A process that cannot be looked up counts as dead after this time without a heartbeat."""

ENDED = "ended"
"""In place of a heartbeat: the process gave up this lease, although it may still run."""


@dataclass(frozen=True)
class _Process:
    """Identity of a process among those of all machines and times.

    Parameters
    ----------
    boot : str
        Identifier of the machine's last boot; empty if it is unknown.
    namespace : int
        Identifier of the namespace of process ids: each container of a machine has its own.
    pid : int
    started : int
        Clock ticks between the boot and the start of the process; a later process with the same id differs.
    """

    boot: str
    namespace: int
    pid: int
    started: int

    @property
    def is_of_this_machine(self) -> bool:
        """Tell whether the process can be looked up by its id."""
        return bool(self.boot) and (self.boot, self.namespace) == (_boot(), _namespace())

    @property
    def is_alive(self) -> bool:
        """Tell whether a process of this machine is still running."""
        return _started(self.pid) == self.started


UNKNOWN_PROCESS: Mapping[str, Any] = {"boot": "", "namespace": 0, "pid": 0, "started": 0}
"""For `may_be_alive`: a process of which only the heartbeat is known."""


def may_be_alive(process: Mapping[str, Any], heartbeat: str, now: datetime | None = None) -> bool:
    """Tell whether a process may still be alive.

    Parameters
    ----------
    process : mapping
        What `this_process` returned in that process.
    heartbeat : str
        Time of its last heartbeat, UTC, ISO 8601; or `ENDED`.
    now : datetime, optional

    Returns
    -------
    bool
        False if the process has certainly ended, or if it cannot be looked up and its last heartbeat is older
        than `SILENCE_LIMIT`.
    """
    if heartbeat == ENDED:
        return False
    known = _Process(**process)
    if known.is_of_this_machine:
        return known.is_alive
    return (now or datetime.now(UTC)) - datetime.fromisoformat(heartbeat) < SILENCE_LIMIT


def this_process() -> dict[str, Any]:
    """Return the identity of this process, for `may_be_alive`."""
    pid = os.getpid()
    return asdict(_Process(_boot(), _namespace(), pid, _started(pid) or 0))


def utc_now() -> str:
    """Return the current time, as heartbeats and manifests store it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_heartbeat(text: str) -> bool:
    """Tell whether a text is the time of a heartbeat or `ENDED`."""
    if text == ENDED:
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - the link's target has no path
    except OSError:
        return 0


def _started(pid: int) -> int | None:
    """Return the start of a process in clock ticks since the boot; None if it does not run."""
    # The name of the program, in parentheses, may contain any character.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
