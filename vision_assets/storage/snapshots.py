"""Snapshots: every materialization is a folder of its own, and one atomic step makes it the current one.

Layout under the data folder::

    <asset key…>/<snapshot>/part-…                     the table, plain Parquet or SequenceFile
    <asset key…>/_snapshots/<sequence>-<snapshot>.json  the manifest: this snapshot is whole
    <asset key…>/_snapshots/<snapshot>.pending          being written, or left by a run that died
    <asset key…>/_snapshots/<snapshot>.beat             the last sign of life of whoever writes it
    <asset key…>/_checkpoints/                        how far a long computation has come

A snapshot exists once its manifest does; the manifest with the highest name is the current one. Creating
the manifest is the commit, one new file or object, so neither a failed nor a concurrent run can harm what
is stored. What a run that died has finished of a table stays beside its marker, for the next run to use.
"""

import errno
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vision_assets.errors import UserError
from vision_assets.storage import liveness
from vision_assets.storage.checkpoints import Checkpoint
from vision_assets.storage.files import Files, open_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MANIFESTS = "_snapshots"
_CHECKPOINTS = "_checkpoints"
_PENDING = ".pending"
_BEAT = ".beat"
_RUN_ID = 8  # characters of it in the name of a snapshot
# What is deleted goes by names of files: `..` in one must not lead out of the data folder.
_NAME = r"[\w-]+"
_MANIFEST_NAME = re.compile(rf"\d+-{_NAME}\.json", re.ASCII)
_MARKER_NAME = re.compile(rf"{_NAME}\.pending", re.ASCII)
_BEAT_NAME = re.compile(rf"{_NAME}\.beat", re.ASCII)
_CHECKSUM = "checksum"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_heart = liveness.Heart()

AssetPath = tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """One materialization of an asset and what made it.

    Parameters
    ----------
    asset : str
        Asset key, its parts joined by ``/``.
    name : str
        Name of the folder.
    sequence : int
        Rises with every commit of the asset.
    uri : str
        Folder or URI of the table.
    run_id, code_version : str
    config : dict
        Configuration of the asset in that run.
    inputs : dict
        Asset to name of the snapshot that was read.
    counts : dict
        Numbers of the table in the field's words.
    holds : dict
        Name of a check to whether it held before the commit.
    keys : str
        Fingerprint of the set of keys; equal sets have equal fingerprints.
    rows, files, bytes : int
    seconds : float
        From the start of the asset to its commit.
    committed_at : str
        UTC, ISO 8601.
    version : str
        Of the content: equal for equal content, whichever run made it.
    row_version : str
        Of all that a row depends on besides its image; rows can be taken over from one with the same. Empty
        if they cannot.
    sizes : dict
        Name to size in bytes of each file in the folder, those of an index with their folder. Empty if they
        were not noted.
    """

    asset: str
    name: str
    sequence: int
    uri: str
    run_id: str
    code_version: str
    config: dict[str, Any]
    inputs: dict[str, str]
    counts: dict[str, int | float]
    holds: dict[str, bool]
    keys: str
    rows: int
    files: int
    bytes: int
    seconds: float
    committed_at: str
    version: str = ""
    row_version: str = ""
    sizes: dict[str, int] = field(default_factory=dict)


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


class SnapshotStore:
    """The snapshots of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Of the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def current(self, asset: AssetPath) -> Snapshot | None:
        """Return the current snapshot of an asset, or None before the first."""
        while manifests := self._manifests(asset):
            with suppress(FileNotFoundError):  # a newer one has taken its place just now
                return self._load(asset, manifests[-1])
        return None

    def require_current(self, asset: AssetPath) -> Snapshot:
        """Return the current snapshot of an asset.

        Raises
        ------
        UserError
            If the asset was never materialized.
        """
        snapshot = self.current(asset)
        if snapshot is None:
            name = "/".join(asset)
            raise UserError(f"{name} has no snapshot in {self._files.uri('')} yet. Materialize {name} first.")
        return snapshot

    def snapshots(self, asset: AssetPath) -> list[Snapshot]:
        """Return all kept snapshots of an asset, the current one last."""
        return self._matching(asset, "")

    def assets(self) -> list[AssetPath]:
        """Return the assets that the data folder holds snapshots of."""
        return list(self._walk(()))

    def of_run(self, asset: AssetPath, run_id: str) -> Snapshot | None:
        """Return the newest snapshot that a run made of an asset; None if it made none."""
        made = self._matching(asset, f"-{run_id[:_RUN_ID]}-") if run_id else []
        return next((s for s in reversed(made) if s.run_id == run_id), None)

    def begin(
        self, asset: AssetPath, run_id: str, inputs: Mapping[str, str], row_version: str = ""
    ) -> Staged:
        """Start a snapshot, and show signs of life until it is committed, discarded or left.

        Parameters
        ----------
        asset : tuple of str
        run_id : str
        inputs : mapping
            Asset to name of the snapshot that is read; those are not removed meanwhile.
        row_version : str
            As of `Snapshot`.

        Returns
        -------
        Staged

        Raises
        ------
        UserError
            If the data folder cannot be written.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{run_id[:_RUN_ID]}-{secrets.token_hex(2)}"
        staged = Staged(asset, name, self._files.uri(_join(asset, name)), dict(inputs), row_version)
        try:
            self._mark(staged, run_id)
            self._start_beating(staged)
        except Exception as error:
            with suppress(Exception):
                self._unmark(staged)
            advice = (
                "Make room there, then run again."
                if isinstance(error, OSError) and error.errno in _NO_ROOM
                else "Set VISION_ASSETS_DATA to a folder or URI that this user may write to."
            )
            cause = str(error).splitlines()[0]
            raise UserError(
                f"Cannot write to the data folder {self._files.uri('')}: {cause}. {advice}"
            ) from error
        return staged

    def hold(self, choose: Callable[[], Snapshot | None], run_id: str) -> tuple[Snapshot, Staged] | None:
        """Choose a snapshot and keep it from being removed while it is read.

        Parameters
        ----------
        choose : callable
            Returns a snapshot or None; called again if it is removed just then.
        run_id : str

        Returns
        -------
        Snapshot
        Staged
            Holds it until discarded.
        """
        while snapshot := choose():
            asset = tuple(snapshot.asset.split("/"))
            self._discard_holds_of_dead(snapshot)
            hold = self.begin(asset, run_id, {snapshot.asset: snapshot.name})
            # Who removes it has removed its manifest before he looks for holds a last time.
            if self.has(snapshot):
                return snapshot, hold
            self.discard(hold)
        return None

    @contextmanager
    def reading(self, asset: AssetPath, run_id: str = "") -> Iterator[Snapshot]:
        """Keep the current snapshot of an asset from being removed while a `with` block reads it.

        Parameters
        ----------
        asset : tuple of str
        run_id : str
            Empty outside of Dagster.

        Yields
        ------
        Snapshot

        Raises
        ------
        UserError
            If the asset was never materialized, or the data folder cannot be written.
        """
        held = self.hold(lambda: self.require_current(asset), run_id)
        assert held  # noqa: S101 - there is one, or an error
        snapshot, hold = held
        try:
            yield snapshot
        finally:
            self.discard(hold)

    def has(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot is still stored; if so, all that was read of it before was there."""
        return _manifest(snapshot) in self._manifests(tuple(snapshot.asset.split("/")))

    def _discard_holds_of_dead(self, snapshot: Snapshot) -> None:
        for pending in self._pending(tuple(snapshot.asset.split("/"))):
            if not pending.alive and snapshot.asset in pending.staged.inputs:
                self.discard(pending.staged)

    def _mark(self, staged: Staged, run_id: str) -> None:
        self._files.create(_marker(staged), self._marker_content(staged, run_id))

    def _marker_content(self, staged: Staged, run_id: str) -> bytes:
        marker = {
            "runId": run_id,
            "inputs": staged.inputs,
            "rowVersion": staged.row_version,
            "startedAt": liveness.sign_of_life(),
            "process": liveness.this_process(),
        }
        return _to_json(marker)

    def _start_beating(self, staged: Staged) -> None:
        self._beat(staged, liveness.sign_of_life())
        _heart.start(self._heart_key(staged), lambda: self._beat(staged, liveness.sign_of_life()))

    def _heart_key(self, staged: Staged) -> tuple[str, str]:
        return self._files.uri(""), staged.name

    def _beat(self, staged: Staged, sign: str) -> None:
        self._files.replace(_join(staged.asset, _MANIFESTS, staged.name + _BEAT), sign.encode())

    def leave(self, staged: Staged) -> None:
        """Leave what was written of a snapshot for the next run of the asset."""
        self._rest(staged)
        # The last one goes first: on a full disk there is no other place.
        self._files.delete(_join(staged.asset, _MANIFESTS, staged.name + _BEAT))
        self._beat(staged, liveness.ENDED)

    def hold_left(self, asset: AssetPath, row_version: str, run_id: str) -> list[tuple[Staged, Staged]]:
        """Keep what dead or failed runs left of an asset, of rows of this version; the newest first.

        Returns
        -------
        list of (Staged, Staged)
            What is left, and what holds it until discarded. Other runs may hold the same.
        """
        found = []
        for left in reversed([pending.staged for pending in self._pending(asset) if not pending.alive]):
            if left.row_version == row_version:
                hold = self.begin(asset, run_id, {"/".join(asset): left.name})
                # As in `hold`.
                if self._is_marked(left):
                    found.append((left, hold))
                else:
                    self.discard(hold)
        return found

    def discard_left(self, left: Staged) -> None:
        """Remove what a dead or failed run left, unless another run holds it."""
        if self._is_held(left):
            return
        try:
            content = self._files.read(_marker(left))
        except FileNotFoundError:  # another run removes it
            return
        self._files.delete(_marker(left))
        if self._is_held(left):
            self._files.create(_marker(left), content)
        else:
            self.discard(left)

    def _is_held(self, left: Staged) -> bool:
        return left.name in self._held(left.asset, self._pending(left.asset))

    @staticmethod
    def _held(asset: AssetPath, pending: "Iterable[_Pending]") -> set[str]:
        return {p.staged.inputs.get("/".join(asset), "") for p in pending if p.alive}

    def _is_marked(self, staged: Staged) -> bool:
        try:
            self._files.read(_marker(staged))
        except FileNotFoundError:
            return False
        return True

    def parts(self, made: "Staged | Snapshot") -> dict[str, int]:
        """Return name and size in bytes of the files of a table that are whole.

        Those of a snapshot have the size that they were committed with. Of Parquet that was not committed
        only files with their end: a loss of power may have cut those of a run that died.
        """
        folder = _folder(made)
        sizes = self._files.sizes(folder)
        if isinstance(made, Snapshot) and made.sizes:
            return {name: size for name, size in sizes.items() if made.sizes.get(name) == size}
        return {
            name: size
            for name, size in sizes.items()
            if not name.endswith(".parquet") or self._files.tail(f"{folder}/{name}", 4) == b"PAR1"
        }

    def damage(self, snapshot: Snapshot) -> UserError | None:
        """Return an error that names a file of a snapshot that is gone, or not as long as it was; else None.

        Nothing is read: damage inside of a file shows when somebody reads it.
        """
        found = self._sizes(_folder(snapshot))
        for file, size in snapshot.sizes.items():
            if found.get(file) != size:
                fault = f"has {found[file]:,} of {size:,} bytes" if file in found else "is missing"
                return damaged_file(f"{snapshot.uri}/{file}", fault, bool(snapshot.row_version))
        return None

    def _sizes(self, folder: str) -> dict[str, int]:
        """Return path and size of the files of a table and of its index, whose folder has an underscore."""
        sizes = self._files.sizes(folder)
        for index in (name for name in self._files.names(folder) if name[0] == "_"):
            sizes |= {
                f"{index}/{name}": size for name, size in self._files.sizes(_join((folder,), index)).items()
            }
        return sizes

    def take_over(self, made: "Staged | Snapshot", names: Mapping[str, str], staged: Staged) -> None:
        """Have files of another snapshot in one that is being written, at the least cost.

        Parameters
        ----------
        made : Staged or Snapshot
        names : mapping
            Name of a file to its new name.
        staged : Staged
        """
        source, target = _folder(made), _folder(staged)
        for name, new_name in names.items():
            self._files.share(f"{source}/{name}", f"{target}/{new_name}")

    def checkpoint(self, asset: AssetPath, name: str) -> Checkpoint:
        """Return how far a long computation of an asset has come; the asset's next commit removes it."""
        return Checkpoint(self._files, _join(asset, _CHECKPOINTS), name)

    def input_of(self, made: "Staged | Snapshot", asset: AssetPath) -> Snapshot | None:
        """Return the snapshot of an upstream asset that another was made from; None if there is none."""
        name = made.inputs.get("/".join(asset))
        return next(iter(self._matching(asset, f"-{name}.")), None) if name else None

    def lineage(self, made: "Staged | Snapshot") -> dict[str, Snapshot]:
        """Return the snapshots that another was made from, directly or not.

        Parameters
        ----------
        made : Staged or Snapshot

        Returns
        -------
        dict
            Asset to snapshot: the nearer one, if two of an asset took part. What is not stored any more is
            left out.
        """
        found: dict[str, Snapshot] = {}
        todo = [made]
        while todo:
            step = todo.pop(0)
            for asset in step.inputs.keys() - found.keys():
                if snapshot := self.input_of(step, tuple(asset.split("/"))):
                    found[asset] = snapshot
                    todo.append(snapshot)
        return found

    def read(self, snapshot: Snapshot, file: str) -> bytes:
        """Return the content of a file in a snapshot's folder."""
        return self._files.read(f"{_folder(snapshot)}/{file}")

    def files(self, snapshot: Snapshot) -> list[str]:
        """Return the names of the visible files in a snapshot's folder."""
        return list(self._files.sizes(_folder(snapshot)))

    def commit(self, staged: Staged, **described: Any) -> Snapshot:
        """Make a written snapshot the current one.

        Parameters
        ----------
        staged : Staged
        **described
            The fields of `Snapshot` that the store does not know.

        Returns
        -------
        Snapshot

        Raises
        ------
        UserError
            If another run took this one for dead, because it gave no sign of life for too long.
        """
        sizes = self._sizes(_folder(staged))
        of_table = [size for file, size in sizes.items() if "/" not in file]
        self._require_marked(staged)
        newest = self.current(staged.asset)
        snapshot = Snapshot(
            asset="/".join(staged.asset),
            name=staged.name,
            sequence=newest.sequence + 1 if newest else 1,
            uri=staged.uri,
            inputs=staged.inputs,
            files=len(of_table),
            bytes=sum(of_table),
            committed_at=liveness.sign_of_life(),
            row_version=staged.row_version,
            sizes=sizes,
            **described,
        )
        stored = {key: value for key, value in asdict(snapshot).items() if key != "uri"}
        content = _to_json(stored | {_CHECKSUM: _checksum(stored)})
        manifest = _join(staged.asset, _MANIFESTS, _manifest(snapshot))
        self._files.create(manifest, content)
        try:
            self._require_marked(staged)  # again: nobody takes it for dead from here on
        except UserError:
            self._files.delete(manifest)
            raise
        self._unmark(staged)
        return snapshot

    def _require_marked(self, staged: Staged) -> None:
        if not self._is_marked(staged):
            raise UserError(
                f"{staged.uri} was not stored: this run showed no sign of life for so long that another one "
                "has removed what it had written. Run again."
            )

    def _rest(self, staged: Staged) -> None:
        _heart.stop(self._heart_key(staged))

    def _unmark(self, staged: Staged) -> None:
        self._rest(staged)
        # In this order, so that there is never a sign of life without a marker.
        self._files.delete(_join(staged.asset, _MANIFESTS, staged.name + _BEAT))
        self._files.delete(_marker(staged))

    def discard(self, staged: Staged) -> None:
        """Remove what was written of a snapshot, unless it was committed after all, and its marker."""
        committed = {_snapshot_name(manifest) for manifest in self._manifests(staged.asset)}
        if staged.name not in committed:
            self._files.delete(_folder(staged))
        self._unmark(staged)

    def prune(self, asset: AssetPath, keep: int) -> list[str]:
        """Remove old snapshots, checkpoints, and what runs that died have left.

        Parameters
        ----------
        asset : tuple of str
        keep : int
            How many of the newest to keep, at least 1. One that the current snapshot of any asset was made
            from, or that a run reads now, is kept besides.

        Returns
        -------
        list of str
            Names of the snapshots that were removed.
        """
        old = self._manifests(asset)[: -max(keep, 1)]
        removed = [self._remove(asset, manifest) for manifest in self._unnamed(asset, old)]
        self._remove_leftovers(asset)
        self._files.delete(_join(asset, _CHECKPOINTS))
        return [name for name in removed if name]

    def _unnamed(self, asset: AssetPath, manifests: Sequence[str]) -> list[str]:
        named = self._named_snapshots() if manifests else set()
        return [m for m in manifests if ("/".join(asset), _snapshot_name(m)) not in named]

    def _remove(self, asset: AssetPath, manifest: str) -> str | None:
        """Remove a snapshot, unless somebody begins to read it just now; return its name."""
        # A marker first: should this be cut short, the rest is found like that of any run that died.
        staged = self._staged(asset, _snapshot_name(manifest))
        path = _join(asset, _MANIFESTS, manifest)
        try:
            content = self._files.read(path)
        except FileNotFoundError:  # another run removes it
            return None
        self._mark(staged, "")
        self._files.delete(path)
        is_read = not self._unnamed(asset, [manifest])
        if is_read:
            self._files.create(path, content)
        self.discard(staged)
        return None if is_read else staged.name

    def _staged(self, asset: AssetPath, name: str) -> Staged:
        return Staged(asset, name, self._files.uri(_join(asset, name)))

    def _remove_leftovers(self, asset: AssetPath) -> None:
        """Remove what runs that died have left, and what they still wrote after that was removed."""
        # In this order: a snapshot has its marker before anything else, and its manifest before that goes.
        names = [name for name in self._files.names(_join(asset)) if name[0] not in "._"]
        notes = self._files.names(_join(asset, _MANIFESTS))
        beats = [name for name in notes if _BEAT_NAME.fullmatch(name)]
        unfinished = [name for name in notes if name.startswith(".")]
        pending = list(self._pending(asset))
        begun = {p.staged.name for p in pending}
        marked = begun | self._held(asset, pending) | set(map(_snapshot_name, self._manifests(asset)))
        dead = {p.staged.name for p in pending if not p.alive}
        for left in dead:
            self.discard_left(self._staged(asset, left))
        # "<snapshot>.…" is what an upload or a removal has not finished.
        unmarked = [
            name for name in names if name not in marked and name.partition(".")[0] not in marked - dead
        ]
        unmarked += [name.removesuffix(_BEAT) for name in beats if name.removesuffix(_BEAT) not in begun]
        for name in unmarked:
            self.discard(self._staged(asset, name))
        for name in unfinished:
            of_alive = any(p.alive and p.staged.name in name for p in pending)
            if not of_alive and not self._may_become_marker(asset, name):
                self._files.delete(_join(asset, _MANIFESTS, name))

    def _may_become_marker(self, asset: AssetPath, unfinished: str) -> bool:
        """Tell whether a file that is not whole may be the marker of a run that begins just now."""
        if f"{_PENDING}." not in unfinished:
            return False
        try:
            marker = self._read_marker(_join(asset, _MANIFESTS, unfinished))
        except FileNotFoundError:
            return False
        # If it is not whole, nobody can tell whose it is.
        return marker is _DAMAGED or liveness.may_be_alive(marker["process"], marker["startedAt"])

    def _manifests(self, asset: AssetPath) -> list[str]:
        names = self._files.names(_join(asset, _MANIFESTS))
        return [name for name in names if _MANIFEST_NAME.fullmatch(name)]

    def _matching(self, asset: AssetPath, part: str) -> list[Snapshot]:
        """Snapshots whose manifest has this in its name; damage to others does no harm."""
        found = []
        for manifest in self._manifests(asset):
            if part in manifest:
                with suppress(FileNotFoundError):  # another run has just removed it
                    found.append(self._load(asset, manifest))
        return found

    def _load(self, asset: AssetPath, manifest: str) -> Snapshot:
        path = _join(asset, _MANIFESTS, manifest)
        try:
            stored = json.loads(self._files.read(path))
            checksum = stored.pop(_CHECKSUM, None)  # as all with a default not there from the beginning
            known = {
                f.name: stored[f.name]
                for f in fields(Snapshot)
                if f.name != "uri" and (f.name in stored or f.default is f.default_factory is MISSING)
            }
            _require(checksum in (None, _checksum(stored)), "its checksum is another")
            _require(known["asset"] == "/".join(asset), "it is of another asset")
            _require(known["name"] == _snapshot_name(manifest), "it is of another snapshot")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"The manifest {self._files.uri(path)} is damaged ({error}). "
                "Remove it to go back to the snapshot before it."
            ) from error
        return Snapshot(uri=self._files.uri(_join(asset, known["name"])), **known)

    def _pending(self, asset: AssetPath) -> "Iterator[_Pending]":
        for name in self._files.names(_join(asset, _MANIFESTS)):
            if _MARKER_NAME.fullmatch(name):
                try:
                    marker = self._read_marker(_join(asset, _MANIFESTS, name))
                except FileNotFoundError:  # its run has ended meanwhile
                    continue
                staged = replace(
                    self._staged(asset, name.removesuffix(_PENDING)),
                    inputs=marker["inputs"],
                    row_version=marker["rowVersion"],
                )
                yield _Pending(
                    staged, liveness.may_be_alive(marker["process"], self._last_beat(staged, marker))
                )

    def _read_marker(self, path: str) -> Mapping[str, Any]:
        """Return what a marker says, or `_DAMAGED`."""
        try:
            marker = json.loads(self._files.read(path))
            is_whole = (
                marker.keys() >= _DAMAGED.keys() and marker["process"].keys() == _DAMAGED["process"].keys()
            )
        except (ValueError, AttributeError):
            return _DAMAGED
        return marker if is_whole else _DAMAGED

    def _last_beat(self, staged: Staged, marker: Mapping[str, Any]) -> str:
        try:
            sign = self._files.read(_join(staged.asset, _MANIFESTS, staged.name + _BEAT)).decode(
                errors="replace"
            )
        except FileNotFoundError:
            sign = marker["startedAt"]
        if liveness.is_sign(sign):
            return sign
        now = liveness.sign_of_life()
        if sign or marker is _DAMAGED:  # else it may be being written, on storage without atomic replacement
            # Whoever is alive will show another sign in time.
            self._beat(staged, now)
        return now

    def _walk(self, folder: AssetPath) -> Iterator[AssetPath]:
        try:
            names = self._files.names(_join(folder))
        except PermissionError:  # somebody else's, such as a disk's lost+found
            return
        if _MANIFESTS in names:
            yield folder
            return
        for name in names:
            yield from self._walk((*folder, name))

    def _named_snapshots(self) -> set[tuple[str, str]]:
        """Snapshots that the current ones were made from, directly or not, and those being read."""
        named: set[tuple[str, str]] = set()
        by_asset = {asset: self.snapshots(asset) for asset in self.assets()}
        known = {(s.asset, s.name): s for snapshots in by_asset.values() for s in snapshots}
        todo = [(snapshots[-1].asset, snapshots[-1].name) for snapshots in by_asset.values() if snapshots]
        for asset in by_asset:
            todo += [i for p in self._pending(asset) if p.alive for i in p.staged.inputs.items()]
        while todo:
            reference = todo.pop()
            if reference not in named:
                named.add(reference)
                todo += known[reference].inputs.items() if reference in known else ()
        return named


def open_store(data_folder: str) -> SnapshotStore:
    """Open the snapshots in a data folder; Spark is started only for one that Hadoop's client must read.

    Parameters
    ----------
    data_folder : str
        A local path or any Hadoop URI.

    Returns
    -------
    SnapshotStore
    """
    return SnapshotStore(open_files(data_folder, _start_spark))


def _start_spark() -> "SparkSession":
    from vision_assets.spark.session import start_session  # noqa: PLC0415 - Spark only when needed

    return start_session()


@dataclass(frozen=True)
class _Pending:
    staged: Staged
    alive: bool


_DAMAGED: Mapping[str, Any] = {
    "inputs": {},
    "rowVersion": "",
    "startedAt": "",
    "process": liveness.UNKNOWN_PROCESS,
}
"""In place of a marker that cannot be read: signs of life alone tell whether somebody is at work."""


def damaged_file(file: str, fault: str, row_wise: bool) -> UserError:
    """Make the error for a damaged file of a snapshot.

    Parameters
    ----------
    file : str
        Its path or URI: ``<data>/<asset>/<snapshot>/<file>``.
    fault : str
        What is wrong with it, such as ``is missing``.
    row_wise : bool
        Whether the asset takes over rows from earlier snapshots, unless it is told not to.

    Returns
    -------
    UserError
    """
    parts = file.split("/")
    *folder, asset, name = parts[:-2] if parts[-2][0] == "_" else parts[:-1]
    manifest = "/".join((*folder, asset, _MANIFESTS, f"*-{name}.json"))
    return UserError(
        f"{file} {fault}. Materialize {asset} again{' with `full_refresh: true`' if row_wise else ''}, or "
        f"remove {manifest} to go back to the snapshot before it."
    )


def _folder(made: Staged | Snapshot) -> str:
    asset = made.asset if isinstance(made, Staged) else made.asset.split("/")
    return _join(asset, made.name)


def _manifest(snapshot: Snapshot) -> str:
    return f"{snapshot.sequence:010d}-{snapshot.name}.json"


def _marker(staged: Staged) -> str:
    return _join(staged.asset, _MANIFESTS, staged.name + _PENDING)


def _snapshot_name(manifest: str) -> str:
    return manifest.removesuffix(".json").split("-", 1)[1]


def _join(asset: Sequence[str], *names: str) -> str:
    return "/".join((*asset, *names))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _checksum(stored: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:32]


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
