"""Snapshots: every materialization is a folder of its own, and one atomic step makes it the current one.

A snapshot exists once its manifest does; the manifest with the highest name is the current one. Creating
the manifest is the commit, one new file or object, so neither a failed nor a concurrent run can harm what
is stored. What a run that died has finished of a table stays beside its marker, for the next run to use.
"""

import errno
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vision_assets.errors import UnusableError, UserError
from vision_assets.snapshots import liveness
from vision_assets.snapshots.checkpoints import Checkpoint
from vision_assets.snapshots.files import Files, open_files
from vision_assets.snapshots.layout import CHECKPOINTS, NOTES, AssetPath, path_of
from vision_assets.snapshots.leases import Leases, Staged, leased
from vision_assets.snapshots.manifests import Manifests, Snapshot, damaged_file, snapshot_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_RUN_ID = 8  # characters of it in the name of a snapshot
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SnapshotStore:
    """The snapshots of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Of the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._manifests = Manifests(files)
        self._leases = Leases(files)

    def current(self, asset: AssetPath) -> Snapshot | None:
        """Return the current snapshot of an asset, or None before the first."""
        while manifests := self._manifests.names(asset):
            with suppress(FileNotFoundError):  # a newer one has taken its place just now
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
            If a local data folder cannot be written.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{run_id[:_RUN_ID]}-{secrets.token_hex(4)}"
        staged = Staged(asset, name, self._files.uri(path_of(asset, name)), dict(inputs), row_version)
        try:
            self._leases.create(staged, run_id)
            self._leases.start_heartbeat(staged)
        except Exception as error:
            with suppress(Exception):
                self._leases.delete(staged)
            if isinstance(error, OSError):
                raise self._not_writable(error) from error
            raise  # what Hadoop says of a storage that may only be away for a while
        return staged

    def _not_writable(self, error: OSError) -> UserError:
        advice = (
            "Make room there, then run again."
            if error.errno in _NO_ROOM
            else "Set VISION_ASSETS_DATA to a folder or URI that this user may write to."
        )
        cause = str(error).splitlines()[0]
        return UserError(f"Cannot write to the data folder {self._files.uri('')}: {cause}. {advice}")

    def lease(self, choose: Callable[[], Snapshot | None], run_id: str) -> tuple[Snapshot, Staged] | None:
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
            asset = snapshot.asset_path
            self._discard_leases_of_dead(snapshot)
            lease = self.begin(asset, run_id, {snapshot.asset: snapshot.name})
            # Who removes it has removed its manifest before he looks for holds a last time.
            if self.has(snapshot):
                return snapshot, lease
            self.discard(lease)
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
        leased = self.lease(lambda: self.require_current(asset), run_id)
        assert leased  # noqa: S101 - there is one, or an error
        snapshot, lease = leased
        try:
            yield snapshot
        finally:
            self.discard(lease)

    def has(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot is still stored; if so, all that was read of it before was there."""
        return snapshot.manifest in self._manifests.names(snapshot.asset_path)

    def _discard_leases_of_dead(self, snapshot: Snapshot) -> None:
        for pending in self._leases.pending(snapshot.asset_path):
            if not pending.alive and snapshot.asset in pending.staged.inputs:
                self.discard(pending.staged)

    def abandon(self, staged: Staged) -> None:
        """Leave what was written of a snapshot for the next run of the asset."""
        self._leases.abandon(staged)

    def lease_leftovers(self, asset: AssetPath, row_version: str, run_id: str) -> list[tuple[Staged, Staged]]:
        """Keep what dead or failed runs left of an asset, of rows of this version; the newest first.

        Returns
        -------
        list of (Staged, Staged)
            What is left, and what holds it until discarded. Other runs may hold the same.
        """
        found = []
        dead = [pending.staged for pending in self._leases.pending(asset) if not pending.alive]
        for left in reversed(dead):
            if left.row_version == row_version:
                lease = self.begin(asset, run_id, {"/".join(asset): left.name})
                # As in `lease`.
                if self._leases.has(left):
                    found.append((left, lease))
                else:
                    self.discard(lease)
        return found

    def discard_leftover(self, left: Staged) -> None:
        """Remove what a dead or failed run left, unless another run holds it."""
        if self._is_leased(left):
            return
        content = self._leases.take(left)
        if content is None:
            return
        if self._is_leased(left):
            self._leases.put_back(left, content)
        else:
            self.discard(left)

    def _is_leased(self, left: Staged) -> bool:
        return left.name in leased(left.asset, self._leases.pending(left.asset))

    def parts(self, made: "Staged | Snapshot") -> dict[str, int]:
        """Return name and size in bytes of the files of a table that are whole.

        Those of a snapshot have the size that they were committed with. Of Parquet that was not committed
        only files with their end: a loss of power may have cut those of a run that died.
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
        """Return an error that names a file of a snapshot that is gone, or not as long as it was; else None.

        Nothing is read: damage inside of a file shows when somebody reads it.
        """
        found = self._sizes(snapshot.folder)
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
                f"{index}/{name}": size for name, size in self._files.sizes(path_of((folder,), index)).items()
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
        source, target = made.folder, staged.folder
        self._files.share({f"{source}/{old}": f"{target}/{new}" for old, new in names.items()})

    def checkpoint(self, asset: AssetPath, name: str) -> Checkpoint:
        """Return how far a long computation of an asset has come; the asset's next commit removes it."""
        return Checkpoint(self._files, path_of(asset, CHECKPOINTS), name)

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
        return self._files.read(f"{snapshot.folder}/{file}")

    def files(self, snapshot: Snapshot) -> list[str]:
        """Return the names of the visible files in a snapshot's folder."""
        return list(self._files.sizes(snapshot.folder))

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
        self._files.secure(staged.folder)
        sizes = self._sizes(staged.folder)
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
            committed_at=liveness.utc_now(),
            row_version=staged.row_version,
            sizes=sizes,
            **described,
        )
        self._manifests.create(snapshot)
        try:
            self._require_marked(staged)  # again: nobody takes it for dead from here on
        except UserError:
            self._manifests.delete(staged.asset, snapshot.manifest)
            raise
        self._leases.delete(staged)
        return snapshot

    def _require_marked(self, staged: Staged) -> None:
        if not self._leases.has(staged):
            raise UnusableError(
                f"{staged.uri} was not stored: this run showed no sign of life for so long that another one "
                "has removed what it had written. Run again."
            )

    def discard(self, staged: Staged) -> None:
        """Remove what was written of a snapshot, unless it was committed after all, and its marker."""
        committed = {snapshot_of(manifest) for manifest in self._manifests.names(staged.asset)}
        if staged.name not in committed:
            self._files.delete(staged.folder)
        self._leases.delete(staged)

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
        old = self._manifests.names(asset)[: -max(keep, 1)]
        removed = [self._remove(asset, manifest) for manifest in self._unnamed(asset, old)]
        self._remove_leftovers(asset)
        self._files.delete(path_of(asset, CHECKPOINTS))
        return [name for name in removed if name]

    def _unnamed(self, asset: AssetPath, manifests: Sequence[str]) -> list[str]:
        named = self._named_snapshots() if manifests else set()
        return [m for m in manifests if ("/".join(asset), snapshot_of(m)) not in named]

    def _remove(self, asset: AssetPath, manifest: str) -> str | None:
        """Remove a snapshot, unless somebody begins to read it just now; return its name."""
        # A marker first: should this be cut short, the rest is found like that of any run that died.
        staged = self._staged(asset, snapshot_of(manifest))
        content = self._manifests.content(asset, manifest)
        if content is None:  # another run removes it
            return None
        self._leases.create(staged, "")
        self._manifests.delete(asset, manifest)
        is_read = not self._unnamed(asset, [manifest])
        if is_read:
            self._manifests.put_back(asset, manifest, content)
        self.discard(staged)
        return None if is_read else staged.name

    def _staged(self, asset: AssetPath, name: str) -> Staged:
        return Staged(asset, name, self._files.uri(path_of(asset, name)))

    def _remove_leftovers(self, asset: AssetPath) -> None:
        """Remove what runs that died have left, and what they still wrote after that was removed."""
        # In this order: a snapshot has its marker before anything else, and its manifest before that goes.
        names = [name for name in self._files.names(path_of(asset)) if name[0] not in "._"]
        beating, unfinished = self._leases.beating(asset), self._leases.unfinished(asset)
        pending = list(self._leases.pending(asset))
        begun = {p.staged.name for p in pending}
        marked = begun | leased(asset, pending) | set(map(snapshot_of, self._manifests.names(asset)))
        dead = {p.staged.name for p in pending if not p.alive}
        for left in dead:
            self.discard_leftover(self._staged(asset, left))
        # "<snapshot>.…" is what an upload or a removal has not finished.
        unmarked = [
            name for name in names if name not in marked and name.partition(".")[0] not in marked - dead
        ]
        for name in (*unmarked, *(name for name in beating if name not in begun)):
            self.discard(self._staged(asset, name))
        self._leases.delete_unfinished(asset, unfinished, begun - dead)

    def _matching(self, asset: AssetPath, part: str) -> list[Snapshot]:
        """Snapshots whose manifest has this in its name; damage to others does no harm."""
        found = []
        for manifest in self._manifests.names(asset):
            if part in manifest:
                with suppress(FileNotFoundError):  # another run has just removed it
                    found.append(self._manifests.load(asset, manifest))
        return found

    def _walk(self, folder: AssetPath) -> Iterator[AssetPath]:
        try:
            names = self._files.names(path_of(folder))
        except PermissionError:  # somebody else's, such as a disk's lost+found
            return
        if NOTES in names:
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
            todo += [i for p in self._leases.pending(asset) if p.alive for i in p.staged.inputs.items()]
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
    from vision_assets.spark.properties import spark_config  # noqa: PLC0415 - Spark only when needed
    from vision_assets.spark.session import start_session  # noqa: PLC0415 - idem

    # Files are read by the driver alone: whatever cluster the runs are for, nothing is asked of it.
    return start_session(spark_config({"spark.master": "local[1]"}))
