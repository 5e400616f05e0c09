"""Snapshots: every materialization is a folder of its own, and one atomic step makes it the current one.

Layout under the data folder::

    <asset key…>/<snapshot>/part-…                     the table, plain Parquet or SequenceFile
    <asset key…>/_snapshots/<sequence>-<snapshot>.json  the manifest: this snapshot is whole
    <asset key…>/_snapshots/<snapshot>.pending          being written, or left by a run that died

A snapshot exists once its manifest does; the manifest with the highest name is the current one. Creating
the manifest is the commit, one new file or object, so neither a failed nor a concurrent run can harm what
is stored.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from vision_assets.errors import UserError
from vision_assets.storage.files import Files, open_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MANIFESTS = "_snapshots"
_PENDING = ".pending"
_RUN_ID = 8  # characters of it in the name of a snapshot
_ABANDONED_AFTER = timedelta(days=7)

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
    """

    asset: AssetPath
    name: str
    uri: str
    inputs: dict[str, str] = field(default_factory=dict)


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
        manifests = self._manifests(asset)
        return self._load(asset, manifests[-1]) if manifests else None

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

    def begin(self, asset: AssetPath, run_id: str, inputs: Mapping[str, str]) -> Staged:
        """Start a snapshot.

        Parameters
        ----------
        asset : tuple of str
        run_id : str
        inputs : mapping
            Asset to name of the snapshot that is read; those are not removed meanwhile.

        Returns
        -------
        Staged

        Raises
        ------
        UserError
            If the data folder cannot be written.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{run_id[:_RUN_ID]}-{secrets.token_hex(2)}"
        staged = Staged(asset, name, self._files.uri(_join(asset, name)), dict(inputs))
        try:
            self._mark(staged, run_id)
        except Exception as error:
            raise UserError(
                f"Cannot write to the data folder {self._files.uri('')}: {str(error).splitlines()[0]}. "
                "Set VISION_ASSETS_DATA to a folder or URI that this user may write to."
            ) from error
        return staged

    def hold(self, snapshot: Snapshot, run_id: str) -> Staged:
        """Keep a snapshot from being removed while it is read, until what is returned is discarded."""
        return self.begin(tuple(snapshot.asset.split("/")), run_id, {snapshot.asset: snapshot.name})

    def _mark(self, staged: Staged, run_id: str) -> None:
        marker = {"runId": run_id, "inputs": staged.inputs, "startedAt": datetime.now(UTC).isoformat()}
        self._files.create(_join(staged.asset, _MANIFESTS, staged.name + _PENDING), _to_json(marker))

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
        return self._files.read(_join(snapshot.asset.split("/"), snapshot.name, file))

    def files(self, snapshot: Snapshot) -> list[str]:
        """Return the names of the visible files in a snapshot's folder."""
        names = self._files.names(_join(snapshot.asset.split("/"), snapshot.name))
        return [name for name in names if name[0] not in "._"]

    def measure(self, staged: Staged) -> tuple[int, int]:
        """Return number and total size in bytes of the files that were written."""
        sizes = self._files.sizes(_join(staged.asset, staged.name))
        return len(sizes), sum(sizes)

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
        """
        files, size = self.measure(staged)
        newest = self.current(staged.asset)
        snapshot = Snapshot(
            asset="/".join(staged.asset),
            name=staged.name,
            sequence=newest.sequence + 1 if newest else 1,
            uri=staged.uri,
            inputs=staged.inputs,
            files=files,
            bytes=size,
            committed_at=datetime.now(UTC).isoformat(timespec="seconds"),
            **described,
        )
        manifest = _to_json({key: value for key, value in asdict(snapshot).items() if key != "uri"})
        self._files.create(
            _join(staged.asset, _MANIFESTS, f"{snapshot.sequence:010d}-{snapshot.name}.json"), manifest
        )
        self._files.delete(_join(staged.asset, _MANIFESTS, staged.name + _PENDING))
        return snapshot

    def discard(self, staged: Staged) -> None:
        """Remove what was written of a snapshot, unless it was committed after all, and its marker."""
        committed = {_snapshot_name(manifest) for manifest in self._manifests(staged.asset)}
        if staged.name not in committed:
            self._files.delete(_join(staged.asset, staged.name))
        self._files.delete(_join(staged.asset, _MANIFESTS, staged.name + _PENDING))

    def prune(self, asset: AssetPath, keep: int) -> list[str]:
        """Remove old snapshots and what runs that died long ago have left.

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
        named = self._named_snapshots()
        old = [
            manifest
            for manifest in self._manifests(asset)[: -max(keep, 1)]
            if ("/".join(asset), _snapshot_name(manifest)) not in named
        ]
        for manifest in old:
            # A marker first: should this be cut short, the rest is found like that of any run that died.
            staged = Staged(
                asset, _snapshot_name(manifest), self._files.uri(_join(asset, _snapshot_name(manifest)))
            )
            self._mark(staged, "")
            self._files.delete(_join(asset, _MANIFESTS, manifest))
            self.discard(staged)
        for pending in self._pending(asset):
            if pending.abandoned:
                self.discard(pending.staged)
        return [_snapshot_name(manifest) for manifest in old]

    def _manifests(self, asset: AssetPath) -> list[str]:
        names = self._files.names(_join(asset, _MANIFESTS))
        return [name for name in names if name.endswith(".json") and not name.startswith(".")]

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
            known = {f.name: stored[f.name] for f in fields(Snapshot) if f.name != "uri"}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The manifest {self._files.uri(path)} is damaged ({error}). "
                "Remove it to go back to the snapshot before it."
            ) from error
        return Snapshot(uri=self._files.uri(_join(asset, known["name"])), **known)

    def _pending(self, asset: AssetPath) -> "Iterator[_Pending]":
        for name in self._files.names(_join(asset, _MANIFESTS)):
            if name.endswith(_PENDING) and not name.startswith("."):
                try:
                    marker = json.loads(self._files.read(_join(asset, _MANIFESTS, name)))
                except FileNotFoundError:  # its run has ended meanwhile
                    continue
                folder = name.removesuffix(_PENDING)
                staged = Staged(asset, folder, self._files.uri(_join(asset, folder)), marker["inputs"])
                age = datetime.now(UTC) - datetime.fromisoformat(marker["startedAt"])
                yield _Pending(staged, age > _ABANDONED_AFTER)

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
            todo += [i for p in self._pending(asset) if not p.abandoned for i in p.staged.inputs.items()]
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
    abandoned: bool


def _snapshot_name(manifest: str) -> str:
    return manifest.removesuffix(".json").split("-", 1)[1]


def _join(asset: Sequence[str], *names: str) -> str:
    return "/".join((*asset, *names))


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
