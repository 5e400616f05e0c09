"""Server processes that can be killed and started again, and that end with the tests."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

_SECONDS = 90  # to serve, or to do something once
_SECONDS_TO_STOP = 10
_POLL = 0.1
_TAIL = 4000  # characters

_LAUNCHER = """
import ctypes, os, sys
parent, *command = sys.argv[1:]
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() == int(parent):  # else it died before the line above
    os.execvp(command[0], command)
"""
# To the kernel a process's parent is the thread that started it: this one lasts as long as Python.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="servers")


class Daemon:
    """A server process. On Linux it ends with this process even if that is killed.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str
    log : Path
        File that what it prints is added to.
    ready : callable
        Tells whether it serves.
    folder : Path, optional
        To run in.
    environment : mapping, optional
        In place of this process's.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.ready = ready
        self._command = list(command)
        self._log = log
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; none before it is started and after it is killed or stopped."""
        return None if self._process is None else self._process.pid

    def launch(self) -> None:
        """Start it without waiting; nothing if it runs."""
        if self._process is None or self._process.poll() is not None:
            self._process = _STARTER.submit(self._popen).result()

    def start(self) -> None:
        """Start it, if it does not run, and wait until it serves.

        Raises
        ------
        RuntimeError
            If it ends or takes too long; with the end of its log.
        """
        self.launch()
        wait(self)

    def kill(self) -> None:
        """End it as a crash would; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_STOP)
            self.kill()

    def require(self) -> None:
        """Raise `RuntimeError` if it has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            raise self.error(f"ended with status {status}")

    def error(self, what: str) -> RuntimeError:
        """Return an error with the end of the log."""
        return RuntimeError(f"{self.name} {what}\n{_tail(self._log)}")

    def _popen(self) -> subprocess.Popen[bytes]:
        launcher = (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()))
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*(launcher if sys.platform == "linux" else ()), *self._command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the others
            )


class Servers(Protocol):
    """Several processes that serve together."""

    def start(self) -> None:
        """Start all that does not run, and wait until they serve."""

    def stop(self) -> None:
        """Kill all."""


_Servers = TypeVar("_Servers", bound=Servers)


@contextmanager
def running(servers: _Servers) -> Iterator[_Servers]:
    """Have servers run until the block is left; those that have started end too if one does not."""
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def wait(*daemons: Daemon) -> None:
    """Wait until all of several serve.

    Raises
    ------
    RuntimeError
        If one ends or takes too long; with the end of its log.
    """
    end = time.monotonic() + _SECONDS
    waiting = list(daemons)
    while waiting := [daemon for daemon in waiting if not daemon.ready()]:
        for daemon in daemons:
            daemon.require()
        if time.monotonic() > end:
            raise waiting[0].error(f"does not serve after {_SECONDS} s")
        time.sleep(_POLL)


def run(
    name: str,
    command: Sequence[str],
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = _SECONDS,
) -> None:
    """Run what a server needs once, to its end, within some seconds.

    Raises
    ------
    RuntimeError
        If it fails or takes too long; with the end of its log.
    """
    with log.open("ab") as file:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=seconds,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{name} ended with status {error.returncode}\n{_tail(log)}") from None
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{name} has not ended after {seconds} s\n{_tail(log)}") from None


def _tail(log: Path) -> str:
    return f"{log}:\n{log.read_text(errors='replace')[-_TAIL:]}"
