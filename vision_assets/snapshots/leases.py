"""Leases: files that keep a snapshot from being removed while a process writes or reads it.

A lease is the file ``<name>.pending``: it says which process took it and which snapshots it keeps.
``<name>.beat`` has the last heartbeat of that process. A process that dies leaves its leases; later runs find
them, and remove or reuse what they name.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision_assets.snapshots import liveness
from vision_assets.snapshots.files import Files
from vision_assets.snapshots.heartbeats import HeartbeatThread
from vision_assets.snapshots.layout import RECORDS, SNAPSHOT_NAME, AssetPath, path_of

_LEASE = ".pending"
_HEARTBEAT = ".beat"
_LEASE_FILE = re.compile(rf"{SNAPSHOT_NAME}\.pending", re.ASCII)
_HEARTBEAT_FILE = re.compile(rf"{SNAPSHOT_NAME}\.beat", re.ASCII)

# One for the process: a step opens its store more than once, and may give a lease back through another
# `Leases` than the one that took it.
_heartbeats = HeartbeatThread()


@dataclass(frozen=True)
class _UncommittedTable:
    asset: AssetPath
    name: str
    uri: str
    inputs: dict[str, str] = field(default_factory=dict)
    row_version: str = ""
    fingerprint: str = ""  # of a pending snapshot alone: a lease does not store it

    @property
    def folder(self) -> str:
        """Path of the table, relative to the data folder."""
        return path_of(self.asset, self.name)


class PendingSnapshot(_UncommittedTable):
    """A snapshot that this process is writing; nobody sees it before it is committed.

    Parameters
    ----------
    asset : tuple of str
    name : str
        Name of the folder.
    uri : str
        Folder or URI to write the table to; it does not exist yet.
    inputs : dict
        Asset to name of the snapshot that is read.
    row_version, fingerprint : str
        As in `Snapshot`.
    """


class Leftover(_UncommittedTable):
    """What a dead or failed run left of a snapshot that it did not commit: its lease, perhaps a table.

    Parameters
    ----------
    asset : tuple of str
    name : str
        Name of the folder.
    uri : str
        Folder or URI of the table, which may be incomplete or missing.
    inputs : dict
        Asset to name of the snapshot that was read.
    row_version : str
        As in `Snapshot`.
    """


@dataclass(frozen=True)
class ReadLease:
    """Keeps a snapshot, or a leftover, from being removed while this process reads it.

    Parameters
    ----------
    asset : tuple of str
    name : str
        Name of the lease.
    snapshot : str
        Name of what is kept; it belongs to the same asset.
    """

    asset: AssetPath
    name: str
    snapshot: str

    @property
    def inputs(self) -> dict[str, str]:
        """What is kept, as other leases name it."""
        return {"/".join(self.asset): self.snapshot}

    row_version = ""


Lease = PendingSnapshot | Leftover | ReadLease


@dataclass(frozen=True)
class StoredLease:
    """A lease as it is stored, whoever took it.

    Parameters
    ----------
    asset : tuple of str
    name : str
    inputs : dict
        Asset to name of the snapshot that the lease keeps.
    row_version : str
        As in `Snapshot`.
    is_alive : bool
        Whether the process that took it may still be alive and need it.
    """

    asset: AssetPath
    name: str
    inputs: dict[str, str]
    row_version: str
    is_alive: bool

    @property
    def read_lease(self) -> ReadLease | None:
        """The lease of a reader; None for that of a writer, which never reads its own asset."""
        snapshot = self.inputs.get("/".join(self.asset))
        return ReadLease(self.asset, self.name, snapshot) if snapshot else None


_DAMAGED: Mapping[str, Any] = {
    "inputs": {},
    "rowVersion": "",
    "startedAt": "",
    "process": liveness.UNKNOWN_PROCESS,
}
"""In place of a lease that cannot be read: the heartbeat alone tells whether its process is alive."""


class Leases:
    """The leases of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Root: the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def create(self, lease: Lease, run_id: str) -> None:
        """Store a lease without a heartbeat."""
        content = {
            "runId": run_id,
            "inputs": lease.inputs,
            "rowVersion": lease.row_version,
            "startedAt": liveness.utc_now(),
            "process": liveness.this_process(),
        }
        self._files.create(_lease_file(lease), json.dumps(content, indent=1, ensure_ascii=False).encode())

    def start_heartbeat(self, lease: Lease) -> None:
        """Store heartbeats from now on, until `delete` or `abandon`."""
        self._write_heartbeat(lease, liveness.utc_now())
        _heartbeats.start(self._key(lease), lambda: self._write_heartbeat(lease, liveness.utc_now()))

    def abandon(self, lease: Lease) -> None:
        """Declare that the process of a lease no longer needs it."""
        _heartbeats.stop(self._key(lease))
        # Deleted first: on a full disk this makes the room for the new content.
        self._files.delete(_heartbeat_file(lease))
        self._write_heartbeat(lease, liveness.ENDED)

    def delete(self, lease: Lease) -> None:
        """End the heartbeats and remove the lease."""
        _heartbeats.stop(self._key(lease))
        # In this order, so that there is never a heartbeat without a lease.
        self._files.delete(_heartbeat_file(lease))
        self._files.delete(_lease_file(lease))

    def has(self, lease: Lease) -> bool:
        """Tell whether a lease is stored."""
        try:
            self._files.read(_lease_file(lease))
        except FileNotFoundError:
            return False
        return True

    def take(self, lease: Lease) -> bytes | None:
        """Remove a lease and return its content, for `put_back`; None if another run removes it."""
        try:
            content = self._files.read(_lease_file(lease))
        except FileNotFoundError:
            return None
        self._files.delete(_lease_file(lease))
        return content

    def put_back(self, lease: Lease, content: bytes) -> None:
        """Undo `take`."""
        self._files.create(_lease_file(lease), content)

    def stored(self, asset: AssetPath) -> Iterator[StoredLease]:
        """Yield the leases of an asset, in the order of their names."""
        for file in self._names(asset):
            if _LEASE_FILE.fullmatch(file):
                try:
                    content = self._read(path_of(asset, RECORDS, file))
                except FileNotFoundError:  # its process has given it back meanwhile
                    continue
                name = file.removesuffix(_LEASE)
                heartbeat = self._last_heartbeat(asset, name, content)
                is_alive = liveness.may_be_alive(content["process"], heartbeat)
                yield StoredLease(asset, name, content["inputs"], content["rowVersion"], is_alive)

    def with_heartbeat(self, asset: AssetPath) -> list[str]:
        """Return the names of all heartbeats of an asset, those without a lease included."""
        return [
            name.removesuffix(_HEARTBEAT) for name in self._names(asset) if _HEARTBEAT_FILE.fullmatch(name)
        ]

    def unfinished(self, asset: AssetPath) -> list[str]:
        """Return the names of temporary files: not complete yet, or never to be."""
        return [name for name in self._names(asset) if name.startswith(".")]

    def delete_unfinished(self, asset: AssetPath, names: Iterable[str], alive: Iterable[str]) -> None:
        """Remove those temporary files that nobody will complete.

        Parameters
        ----------
        asset : tuple of str
        names : iterable of str
            As `unfinished` returned them.
        alive : iterable of str
            Names of the leases whose process may be alive, listed later than `names`.
        """
        alive = list(alive)
        for name in names:
            if not any(lease in name for lease in alive) and not self._may_become_lease(asset, name):
                self._files.delete(path_of(asset, RECORDS, name))

    def _may_become_lease(self, asset: AssetPath, unfinished: str) -> bool:
        """Tell whether a temporary file may be the lease of a run that begins at this moment."""
        if f"{_LEASE}." not in unfinished:
            return False
        try:
            content = self._read(path_of(asset, RECORDS, unfinished))
        except FileNotFoundError:
            return False
        # Nobody can tell whose an incomplete one is.
        return content is _DAMAGED or liveness.may_be_alive(content["process"], content["startedAt"])

    def _names(self, asset: AssetPath) -> list[str]:
        return self._files.names(path_of(asset, RECORDS))

    def _key(self, lease: Lease) -> tuple[str, str]:
        return self._files.uri(""), lease.name

    def _write_heartbeat(self, lease: Lease, text: str) -> None:
        self._files.replace(_heartbeat_file(lease), text.encode())

    def _read(self, path: str) -> Mapping[str, Any]:
        """Return the content of a lease, or `_DAMAGED`."""
        try:
            content = json.loads(self._files.read(path))
            is_complete = (
                content.keys() >= _DAMAGED.keys() and content["process"].keys() == _DAMAGED["process"].keys()
            )
        except (ValueError, AttributeError):
            return _DAMAGED
        return content if is_complete else _DAMAGED

    def _last_heartbeat(self, asset: AssetPath, name: str, content: Mapping[str, Any]) -> str:
        path = path_of(asset, RECORDS, name + _HEARTBEAT)
        try:
            text = self._files.read(path).decode(errors="replace")
        except FileNotFoundError:
            text = content["startedAt"]
        if liveness.is_heartbeat(text):
            return text
        now = liveness.utc_now()
        # An empty file may be one that is being written, on storage without atomic replacement.
        if text or content is _DAMAGED:
            # A heartbeat in its process's name: a process that is alive overwrites it in time.
            self._files.replace(path, now.encode())
        return now


def leased(asset: AssetPath, leases: Iterable[StoredLease]) -> set[str]:
    """Return the names of an asset's snapshots that a process which may be alive reads."""
    return {lease.inputs.get("/".join(asset), "") for lease in leases if lease.is_alive}


def _lease_file(lease: Lease) -> str:
    return path_of(lease.asset, RECORDS, lease.name + _LEASE)


def _heartbeat_file(lease: Lease) -> str:
    return path_of(lease.asset, RECORDS, lease.name + _HEARTBEAT)
