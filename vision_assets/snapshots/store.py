"""The store of snapshots: each materialization has a folder of its own, and one atomic step makes it current.

A snapshot exists once its manifest does, and the manifest with the highest name belongs to the current one. A
commit creates one new file or object, the manifest, so neither a failed nor a concurrent run can harm what is
stored. What a run that died has finished of a table stays beside its lease, for the next run to reuse.
"""

import errno
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

from vision_assets.errors import UnusableError, UserError
from vision_assets.snapshots import liveness
from vision_assets.snapshots.checkpoints import Checkpoint
from vision_assets.snapshots.files import Files, open_files
from vision_assets.snapshots.history import History, trace_lineage
from vision_assets.snapshots.layout import CHECKPOINTS, COLLECTIONS, RECORDS, AssetPath, path_of
from vision_assets.snapshots.leases import Leases, Leftover, PendingSnapshot, ReadLease, leased
from vision_assets.snapshots.manifests import Manifests, Snapshot, damaged_file, snapshot_of

_RUN_ID = 8  # characters of the run's id in the name of a snapshot
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

TableFolder = Snapshot | PendingSnapshot | Leftover
"""What has a folder with a table, complete or not."""


class SnapshotStore:
    """The snapshots of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Root: the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._manifests = Manifests(files)
        self._leases = Leases(files)

    def current(self, asset: AssetPath) -> Snapshot | None:
        """Return the current snapshot of an asset; None before the first one."""
        while manifests := self._manifests.names(asset):
            with suppress(FileNotFoundError):  # pruned meanwhile, after a newer commit
                return self._manifests.load(asset, manifests[-1])
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
        """Return all stored snapshots of an asset, the current one last."""
        return self._matching(asset, "")

    def assets(self) -> list[AssetPath]:
        """Return the assets that have snapshots in the data folder."""
        return list(self._walk(()))

    def of_run(self, asset: AssetPath, run_id: str) -> Snapshot | None:
        """Return the newest snapshot of an asset that a run committed; None if there is none."""
        made = self._matching(asset, f"-{run_id[:_RUN_ID]}-") if run_id else []
        return next((s for s in reversed(made) if s.run_id == run_id), None)

    def begin(
        self,
        asset: AssetPath,
        run_id: str,
        inputs: Mapping[str, str],
        row_version: str = "",
        fingerprint: str = "",
    ) -> PendingSnapshot:
        """Begin a snapshot. Heartbeats are stored until it is committed, discarded or abandoned.

        Parameters
        ----------
        asset : tuple of str
        run_id : str
        inputs : mapping
            Asset to name of the snapshot that is read; these snapshots are not removed meanwhile.
        row_version, fingerprint : str
            As in `Snapshot`.

        Returns
        -------
        PendingSnapshot

        Raises
        ------
        UserError
            If a local data folder is not writable.
        """
        name = _new_name(run_id)
        uri = self._uri(asset, name)
        pending = PendingSnapshot(asset, name, uri, dict(inputs), row_version, fingerprint)
        self._take(pending, run_id)
        return pending

    def _take(self, lease: PendingSnapshot | ReadLease, run_id: str) -> None:
        try:
            self._leases.create(lease, run_id)
            self._leases.start_heartbeat(lease)
        except Exception as error:
            with suppress(Exception):
                self._leases.delete(lease)
            if isinstance(error, OSError):
                raise self._not_writable(error) from error
            raise  # an error of Hadoop's: its storage may only be unreachable for a while

    def _not_writable(self, error: OSError) -> UserError:
        advice = (
            "Make room there, then run again."
            if error.errno in _NO_ROOM
            else "Set VISION_ASSETS_DATA to a folder or URI that this user may write to."
        )
        cause = str(error).splitlines()[0]
        return UserError(f"Cannot write to the data folder {self._files.uri('')}: {cause}. {advice}")

    def lease(self, choose: Callable[[], Snapshot | None], run_id: str) -> tuple[Snapshot, ReadLease] | None:
        """Choose a snapshot and keep it from being removed while it is read.

        Parameters
        ----------
        choose : callable
            Returns a snapshot or None; called again if the snapshot is removed before it is leased.
        run_id : str

        Returns
        -------
        Snapshot
        ReadLease
            Keeps the snapshot until it is discarded.
        """
        while snapshot := choose():
            asset = snapshot.asset_path
            self._discard_leases_of_dead(snapshot)
            lease = self._lease_to_read(asset, snapshot.name, run_id)
            # Whoever removes it removes its manifest before looking for leases a last time.
            if self.has(snapshot):
                return snapshot, lease
            self.discard(lease)
        return None

    def _lease_to_read(self, asset: AssetPath, snapshot: str, run_id: str) -> ReadLease:
        lease = ReadLease(asset, _new_name(run_id), snapshot)
        self._take(lease, run_id)
        return lease

    @contextmanager
    def reading(self, asset: AssetPath, run_id: str = "") -> Iterator[Snapshot]:
        """Keep the current snapshot of an asset from being removed while a `with` block reads it.

        Parameters
        ----------
        asset : tuple of str
        run_id : str
            Empty outside Dagster.

        Yields
        ------
        Snapshot

        Raises
        ------
        UserError
            If the asset was never materialized, or the data folder is not writable.
        """
        leased = self.lease(lambda: self.require_current(asset), run_id)
        assert leased  # noqa: S101 - `require_current` returns one or raises
        snapshot, lease = leased
        try:
            yield snapshot
        finally:
            self.discard(lease)

    def has(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot is still stored; if so, everything read of it so far was complete."""
        return snapshot.manifest in self._manifests.names(snapshot.asset_path)

    def _discard_leases_of_dead(self, snapshot: Snapshot) -> None:
        for stored in self._leases.stored(snapshot.asset_path):
            if stored.read_lease and not stored.is_alive:
                self.discard(stored.read_lease)

    def abandon(self, pending: PendingSnapshot) -> None:
        """Give up a snapshot and leave what was written of it to the next run of the asset."""
        self._leases.abandon(pending)

    def lease_leftovers(
        self, asset: AssetPath, row_version: str, run_id: str
    ) -> list[tuple[Leftover, ReadLease]]:
        """Keep what dead or failed runs left of an asset from being removed while it is read.

        Parameters
        ----------
        asset : tuple of str
        row_version : str
            Leftovers with rows of other versions are left out.
        run_id : str

        Returns
        -------
        list of (Leftover, ReadLease)
            The newest first. Each is kept until its lease is discarded; other runs may lease the same.
        """
        dead = [
            Leftover(asset, stored.name, self._uri(asset, stored.name), stored.inputs, stored.row_version)
            for stored in self._leases.stored(asset)
            if not stored.is_alive
        ]
        found = []
        for leftover in reversed(dead):
            if leftover.row_version == row_version:
                lease = self._lease_to_read(asset, leftover.name, run_id)
                # As in `lease`.
                if self._leases.has(leftover):
                    found.append((leftover, lease))
                else:
                    self.discard(lease)
        return found

    def discard_leftover(self, leftover: Leftover) -> None:
        """Remove what a dead or failed run left, unless another run reads it."""
        if self._is_leased(leftover):
            return
        content = self._leases.take(leftover)
        if content is None:
            return
        if self._is_leased(leftover):
            self._leases.put_back(leftover, content)
        else:
            self.discard(leftover)

    def _is_leased(self, leftover: Leftover) -> bool:
        return leftover.name in leased(leftover.asset, self._leases.stored(leftover.asset))

    def parts(self, made: TableFolder) -> dict[str, int]:
        """Return name and size in bytes of the complete files of a table.

        A file of a snapshot is complete if it has the size that the manifest names. An uncommitted Parquet
        file is complete if its footer is there: a loss of power may have cut the files of a run that died.
        """
        folder = made.folder
        sizes = self._files.sizes(folder)
        if isinstance(made, Snapshot) and made.sizes:
            return {name: size for name, size in sizes.items() if made.sizes.get(name) == size}
        return {
            name: size
            for name, size in sizes.items()
            if not name.endswith(".parquet") or self._files.tail(f"{folder}/{name}", 4) == b"PAR1"
        }

    def damage(self, snapshot: Snapshot) -> UserError | None:
        """Return an error that names a missing file of a snapshot, or one of another size; None without any.

        No content is read: damage inside a file shows when the file is read.
        """
        found = self._sizes(snapshot.folder)
        for file, size in snapshot.sizes.items():
            if found.get(file) != size:
                fault = f"has {found[file]:,} of {size:,} bytes" if file in found else "is missing"
                return damaged_file(f"{snapshot.uri}/{file}", fault)
        return None

    def _sizes(self, folder: str) -> dict[str, int]:
        """Return path and size of the files of a table and of its index, a folder with an underscore."""
        sizes = self._files.sizes(folder)
        for index in (name for name in self._files.names(folder) if name[0] == "_"):
            sizes |= {
                f"{index}/{name}": size for name, size in self._files.sizes(path_of((folder,), index)).items()
            }
        return sizes

    def take_over(self, made: TableFolder, names: Mapping[str, str], pending: PendingSnapshot) -> None:
        """Add files of another table to a pending snapshot, by links where the storage has them.

        Parameters
        ----------
        made : Snapshot or Leftover
        names : mapping
            Name of a file to its new name.
        pending : PendingSnapshot
        """
        source, target = made.folder, pending.folder
        self._files.share({f"{source}/{old}": f"{target}/{new}" for old, new in names.items()})

    def checkpoint(self, asset: AssetPath, name: str) -> Checkpoint:
        """Return the checkpoint of a long computation of an asset; the asset's next `prune` removes it."""
        return Checkpoint(self._files, path_of(asset, CHECKPOINTS), name)

    def history(self) -> History:
        """Return all snapshots that were ever committed, those included that were pruned."""
        return History(self._manifests)

    def input_of(self, made: TableFolder, asset: AssetPath) -> Snapshot | None:
        """Return the snapshot of an upstream asset that a table is made from; None if it is not stored."""
        name = made.inputs.get("/".join(asset))
        return self._find(asset, name) if name else None

    def _find(self, asset: AssetPath, name: str) -> Snapshot | None:
        return next(iter(self._matching(asset, f"-{name}.")), None)

    def lineage(self, made: TableFolder) -> dict[str, Snapshot]:
        """Return the snapshots that a table is made from, directly or indirectly.

        Parameters
        ----------
        made : Snapshot, PendingSnapshot or Leftover

        Returns
        -------
        dict
            Asset to snapshot: the nearer one, if two of an asset took part. Snapshots that are not stored any
            more are left out.
        """
        found = trace_lineage(made, self._find)
        return {asset: snapshot for asset, snapshot in found.items() if snapshot}

    def read(self, snapshot: Snapshot, file: str) -> bytes:
        """Return the content of a file in a snapshot's folder."""
        return self._files.read(f"{snapshot.folder}/{file}")

    def files(self, snapshot: Snapshot) -> list[str]:
        """Return the names of the visible files in a snapshot's folder."""
        return list(self._files.sizes(snapshot.folder))

    def commit(self, pending: PendingSnapshot, **described: Any) -> Snapshot:
        """Make a written snapshot the current one.

        Parameters
        ----------
        pending : PendingSnapshot
        **described
            The fields of `Snapshot` that the store does not know.

        Returns
        -------
        Snapshot

        Raises
        ------
        UserError
            If another run took this one for dead, because its heartbeats were missing for too long.
        """
        self._files.secure(pending.folder)
        sizes = self._sizes(pending.folder)
        of_table = [size for file, size in sizes.items() if "/" not in file]
        self._require_leased(pending)
        newest = self.current(pending.asset)
        snapshot = Snapshot(
            asset="/".join(pending.asset),
            name=pending.name,
            sequence=newest.sequence + 1 if newest else 1,
            uri=pending.uri,
            inputs=pending.inputs,
            files=len(of_table),
            bytes=sum(of_table),
            committed_at=liveness.utc_now(),
            row_version=pending.row_version,
            fingerprint=pending.fingerprint,
            sizes=sizes,
            **described,
        )
        self._manifests.create(snapshot)
        try:
            self._require_leased(pending)  # again: from here on nobody takes it for dead
        except UserError:
            self._manifests.delete(pending.asset, snapshot.manifest)
            raise
        self._leases.delete(pending)
        return snapshot

    def _require_leased(self, pending: PendingSnapshot) -> None:
        if not self._leases.has(pending):
            raise UnusableError(
                f"{pending.uri} was not stored: this run gave no sign of life for so long that another run "
                "has removed what it had written. Run again."
            )

    def discard(self, unwanted: PendingSnapshot | Leftover | ReadLease) -> None:
        """Give back a lease, and remove what was written under it unless that was committed after all.

        Parameters
        ----------
        unwanted : PendingSnapshot, Leftover or ReadLease
        """
        if not isinstance(unwanted, ReadLease):
            committed = {snapshot_of(manifest) for manifest in self._manifests.names(unwanted.asset)}
            if unwanted.name not in committed:
                self._files.delete(unwanted.folder)
        self._leases.delete(unwanted)

    def prune(self, asset: AssetPath, keep: int) -> list[str]:
        """Remove old snapshots, all checkpoints and the leftovers of dead runs.

        The manifests of removed snapshots are kept: see `history`.

        Parameters
        ----------
        asset : tuple of str
        keep : int
            How many of the newest to keep, at least 1. A snapshot that the current snapshot of any asset was
            made from, or that a run reads now, is kept as well.

        Returns
        -------
        list of str
            Names of the removed snapshots.
        """
        old = self._manifests.names(asset)[: -max(keep, 1)]
        removed = [self._remove(asset, manifest) for manifest in self._unnamed(asset, old)]
        if removed:
            self._manifests.delete_unfinished(asset)
        self._remove_leftovers(asset)
        self._files.delete(path_of(asset, CHECKPOINTS))
        return [name for name in removed if name]

    def _unnamed(self, asset: AssetPath, manifests: Sequence[str]) -> list[str]:
        named = self._named_snapshots() if manifests else set()
        return [m for m in manifests if ("/".join(asset), snapshot_of(m)) not in named]

    def _remove(self, asset: AssetPath, manifest: str) -> str | None:
        """Remove a snapshot and return its name; None if it stays, because a run has begun to read it."""
        # The copy and the lease come first: if this process dies, what made the snapshot stays known, and the
        # next run finds the rest like any leftover.
        removed = self._leftover(asset, snapshot_of(manifest))
        content = self._manifests.content(asset, manifest)
        if content is None:  # another run removes it
            return None
        self._manifests.archive(asset, manifest, content)
        if not self._leases.has(removed):  # that of a process which died here: not every storage overwrites
            self._leases.create(removed, "")
        self._manifests.delete(asset, manifest)
        is_read = not self._unnamed(asset, [manifest])
        if is_read:
            self._manifests.put_back(asset, manifest, content)
        self.discard(removed)
        return None if is_read else removed.name

    def _leftover(self, asset: AssetPath, name: str) -> Leftover:
        return Leftover(asset, name, self._uri(asset, name))

    def _uri(self, asset: AssetPath, name: str) -> str:
        return self._files.uri(path_of(asset, name))

    def _remove_leftovers(self, asset: AssetPath) -> None:
        """Remove the leftovers of dead runs, and what such a run still wrote after they were removed."""
        # Listed in this order: a snapshot has its lease before anything else, and its manifest before the
        # lease goes.
        names = [name for name in self._files.names(path_of(asset)) if name[0] not in "._"]
        with_heartbeat, unfinished = self._leases.with_heartbeat(asset), self._leases.unfinished(asset)
        leases = list(self._leases.stored(asset))
        begun = {lease.name for lease in leases}
        known = begun | leased(asset, leases) | set(map(snapshot_of, self._manifests.names(asset)))
        dead = {lease.name for lease in leases if not lease.is_alive}
        for name in dead:
            self.discard_leftover(self._leftover(asset, name))
        # "<snapshot>.…" is an upload or a removal that was not finished.
        unknown = [name for name in names if name not in known and name.partition(".")[0] not in known - dead]
        for name in (*unknown, *(name for name in with_heartbeat if name not in begun)):
            self.discard(self._leftover(asset, name))
        self._leases.delete_unfinished(asset, unfinished, begun - dead)

    def _matching(self, asset: AssetPath, part: str) -> list[Snapshot]:
        """Return the snapshots whose manifest's name contains `part`; other manifests may be damaged."""
        found = []
        for manifest in self._manifests.names(asset):
            if part in manifest:
                with suppress(FileNotFoundError):  # another run has just removed it
                    found.append(self._manifests.load(asset, manifest))
        return found

    def _walk(self, folder: AssetPath) -> Iterator[AssetPath]:
        try:
            names = self._files.names(path_of(folder))
        except PermissionError:  # a folder that is not ours, such as a disk's lost+found
            return
        if RECORDS in names:
            yield folder
            return
        for name in names:
            if (*folder, name) != (COLLECTIONS,):  # data folders of their own
                yield from self._walk((*folder, name))

    def _named_snapshots(self) -> set[tuple[str, str]]:
        """Return the snapshots that are read now or that current ones were made from, if indirectly."""
        named: set[tuple[str, str]] = set()
        by_asset = {asset: self.snapshots(asset) for asset in self.assets()}
        known = {(s.asset, s.name): s for snapshots in by_asset.values() for s in snapshots}
        todo = [(snapshots[-1].asset, snapshots[-1].name) for snapshots in by_asset.values() if snapshots]
        for asset in by_asset:
            todo += [
                item
                for lease in self._leases.stored(asset)
                if lease.is_alive
                for item in lease.inputs.items()
            ]
        while todo:
            reference = todo.pop()
            if reference not in named:
                named.add(reference)
                todo += known[reference].inputs.items() if reference in known else ()
        return named


def _new_name(run_id: str) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{run_id[:_RUN_ID]}-{secrets.token_hex(4)}"


def open_store(data_folder: str) -> SnapshotStore:
    """Open the snapshots in a data folder.

    A JVM is started, if none runs, only for a folder that Hadoop's client must read. It gets no Spark
    session: nothing is asked of the cluster that runs use.

    Parameters
    ----------
    data_folder : str
        A local path or any URI of Hadoop's.

    Returns
    -------
    SnapshotStore
    """
    # Kept for the store: a new configuration of Hadoop's takes a tenth of a second.
    return SnapshotStore(open_files(data_folder, cache(_hadoop)))


def _hadoop() -> tuple[Any, Any]:
    from vision_assets.spark import jvm  # noqa: PLC0415 - Spark only when needed

    return jvm.hadoop()
