"""Markers: each says that a snapshot is being written or held; signs of life, that somebody is at work."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision_assets.snapshots import liveness
from vision_assets.snapshots.files import Files
from vision_assets.snapshots.layout import NOTES, SNAPSHOT_NAME, AssetPath, path_of

_PENDING = ".pending"
_BEAT = ".beat"
_MARKER_FILE = re.compile(rf"{SNAPSHOT_NAME}\.pending", re.ASCII)
_BEAT_FILE = re.compile(rf"{SNAPSHOT_NAME}\.beat", re.ASCII)
_heartbeats = liveness.HeartbeatThread()


@dataclass(frozen=True)
class Staged:
    """A snapshot that is being written: not yet visible to anybody.

    Parameters
    ----------
    asset : tuple of str
    name : str
        Name of the folder.
    uri : str
        Folder or URI to write the table to; it does not exist yet.
    inputs : dict
        Asset to name of the snapshot that is read.
    row_version : str
        As of `Snapshot`.
    """

    asset: AssetPath
    name: str
    uri: str
    inputs: dict[str, str] = field(default_factory=dict)
    row_version: str = ""

    @property
    def folder(self) -> str:
        """Path of the table, relative to the data folder."""
        return path_of(self.asset, self.name)


@dataclass(frozen=True)
class Pending:
    """What has a marker.

    Parameters
    ----------
    staged : Staged
    alive : bool
        Whether somebody may still be at work on it.
    """

    staged: Staged
    alive: bool


_DAMAGED: Mapping[str, Any] = {
    "inputs": {},
    "rowVersion": "",
    "startedAt": "",
    "process": liveness.UNKNOWN_PROCESS,
}
"""In place of a marker that cannot be read: signs of life alone tell whether somebody is at work."""


class Leases:
    """The markers of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Of the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def create(self, staged: Staged, run_id: str) -> None:
        """Mark a snapshot, without signs of life."""
        marker = {
            "runId": run_id,
            "inputs": staged.inputs,
            "rowVersion": staged.row_version,
            "startedAt": liveness.utc_now(),
            "process": liveness.this_process(),
        }
        self._files.create(_marker(staged), json.dumps(marker, indent=1, ensure_ascii=False).encode())

    def start_heartbeat(self, staged: Staged) -> None:
        """Show signs of life from now on, until `delete` or `abandon`."""
        self._heartbeat(staged, liveness.utc_now())
        _heartbeats.start(self._heartbeat_key(staged), lambda: self._heartbeat(staged, liveness.utc_now()))

    def abandon(self, staged: Staged) -> None:
        """Say that nobody is at work on a snapshot any more."""
        self._rest(staged)
        # The last one goes first: on a full disk there is no other place.
        self._files.delete(_heartbeat(staged))
        self._heartbeat(staged, liveness.ENDED)

    def delete(self, staged: Staged) -> None:
        """End the signs of life, and remove them and the marker."""
        self._rest(staged)
        # In this order, so that there is never a sign of life without a marker.
        self._files.delete(_heartbeat(staged))
        self._files.delete(_marker(staged))

    def has(self, staged: Staged) -> bool:
        """Tell whether the marker is there."""
        try:
            self._files.read(_marker(staged))
        except FileNotFoundError:
            return False
        return True

    def take(self, staged: Staged) -> bytes | None:
        """Remove a marker and return its content, for `put_back`; None if another run removes it."""
        try:
            content = self._files.read(_marker(staged))
        except FileNotFoundError:
            return None
        self._files.delete(_marker(staged))
        return content

    def put_back(self, staged: Staged, content: bytes) -> None:
        """Undo `take`."""
        self._files.create(_marker(staged), content)

    def pending(self, asset: AssetPath) -> Iterator[Pending]:
        """Yield what has a marker."""
        for name in self._names(asset):
            if _MARKER_FILE.fullmatch(name):
                try:
                    marker = self._read(path_of(asset, NOTES, name))
                except FileNotFoundError:  # its run has ended meanwhile
                    continue
                snapshot = name.removesuffix(_PENDING)
                staged = Staged(
                    asset,
                    snapshot,
                    self._files.uri(path_of(asset, snapshot)),
                    marker["inputs"],
                    marker["rowVersion"],
                )
                heartbeat = self._last_heartbeat(staged, marker)
                yield Pending(staged, liveness.may_be_alive(marker["process"], heartbeat))

    def beating(self, asset: AssetPath) -> list[str]:
        """Return the names of snapshots with a sign of life, whether they have a marker or not."""
        return [name.removesuffix(_BEAT) for name in self._names(asset) if _BEAT_FILE.fullmatch(name)]

    def unfinished(self, asset: AssetPath) -> list[str]:
        """Return the names of files that are not whole yet, or never will be."""
        return [name for name in self._names(asset) if name.startswith(".")]

    def delete_unfinished(self, asset: AssetPath, names: Iterable[str], alive: Iterable[str]) -> None:
        """Remove those of the unfinished files that nobody will finish.

        Parameters
        ----------
        asset : tuple of str
        names : iterable of str
            As `unfinished` returned them.
        alive : iterable of str
            Names of snapshots that somebody is at work on, listed later.
        """
        alive = list(alive)
        for name in names:
            if not any(snapshot in name for snapshot in alive) and not self._may_become_marker(asset, name):
                self._files.delete(path_of(asset, NOTES, name))

    def _may_become_marker(self, asset: AssetPath, unfinished: str) -> bool:
        """Tell whether a file that is not whole may be the marker of a run that begins just now."""
        if f"{_PENDING}." not in unfinished:
            return False
        try:
            marker = self._read(path_of(asset, NOTES, unfinished))
        except FileNotFoundError:
            return False
        # If it is not whole, nobody can tell whose it is.
        return marker is _DAMAGED or liveness.may_be_alive(marker["process"], marker["startedAt"])

    def _names(self, asset: AssetPath) -> list[str]:
        return self._files.names(path_of(asset, NOTES))

    def _rest(self, staged: Staged) -> None:
        _heartbeats.stop(self._heartbeat_key(staged))

    def _heartbeat_key(self, staged: Staged) -> tuple[str, str]:
        return self._files.uri(""), staged.name

    def _heartbeat(self, staged: Staged, sign: str) -> None:
        self._files.replace(_heartbeat(staged), sign.encode())

    def _read(self, path: str) -> Mapping[str, Any]:
        """Return what a marker says, or `_DAMAGED`."""
        try:
            marker = json.loads(self._files.read(path))
            is_whole = (
                marker.keys() >= _DAMAGED.keys() and marker["process"].keys() == _DAMAGED["process"].keys()
            )
        except (ValueError, AttributeError):
            return _DAMAGED
        return marker if is_whole else _DAMAGED

    def _last_heartbeat(self, staged: Staged, marker: Mapping[str, Any]) -> str:
        try:
            sign = self._files.read(_heartbeat(staged)).decode(errors="replace")
        except FileNotFoundError:
            sign = marker["startedAt"]
        if liveness.is_heartbeat(sign):
            return sign
        now = liveness.utc_now()
        if sign or marker is _DAMAGED:  # else it may be being written, on storage without atomic replacement
            # Whoever is alive will show another sign in time.
            self._heartbeat(staged, now)
        return now


def leased(asset: AssetPath, pending: Iterable[Pending]) -> set[str]:
    """Return the names of an asset's snapshots that are held by somebody who may be alive."""
    return {one.staged.inputs.get("/".join(asset), "") for one in pending if one.alive}


def _marker(staged: Staged) -> str:
    return path_of(staged.asset, NOTES, staged.name + _PENDING)


def _heartbeat(staged: Staged) -> str:
    return path_of(staged.asset, NOTES, staged.name + _BEAT)
