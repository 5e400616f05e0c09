"""The history of a data folder: what is known of all snapshots that were ever committed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from vision_assets.snapshots.layout import AssetPath
from vision_assets.snapshots.manifests import Manifests, Snapshot, snapshot_of


class HasInputs(Protocol):
    """What is made from snapshots."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """Asset to name of the snapshot that was read."""


class History:
    """All snapshots of a data folder, those included that were pruned: their tables are gone.

    What has been read is kept, so an object shows one moment.

    Parameters
    ----------
    manifests : Manifests
    """

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests
        self._names: dict[AssetPath, dict[str, str]] = {}
        self._loaded: dict[tuple[AssetPath, str], Snapshot | None] = {}

    def snapshots(self, asset: AssetPath) -> list[Snapshot]:
        """Return the snapshots of an asset, the oldest first.

        Raises
        ------
        UserError
            If a manifest is damaged.
        """
        found = (self.find(asset, name) for name in self._manifest_of(asset))
        return [snapshot for snapshot in found if snapshot]

    def earlier(self, snapshot: Snapshot) -> Iterator[Snapshot]:
        """Yield the snapshots of the same asset that were committed before one, the newest first.

        Raises
        ------
        UserError
            If a manifest is damaged.
        """
        asset = snapshot.asset_path
        for name, manifest in reversed(self._manifest_of(asset).items()):
            if manifest < snapshot.manifest and (found := self.find(asset, name)):
                yield found

    def find(self, asset: AssetPath, name: str) -> Snapshot | None:
        """Return the snapshot of a name; None if nothing is known of it.

        Raises
        ------
        UserError
            If its manifest is damaged.
        """
        key = asset, name
        if key not in self._loaded:
            manifest = self._manifest_of(asset).get(name)
            self._loaded[key] = self._load(asset, manifest) if manifest else None
        return self._loaded[key]

    def lineage(self, made: HasInputs) -> dict[str, Snapshot | None]:
        """Return the snapshots that a table was made from, directly or not: see `trace_lineage`."""
        return trace_lineage(made, self.find)

    def _manifest_of(self, asset: AssetPath) -> dict[str, str]:
        """Return the names of an asset's snapshots and those of their manifests, the oldest first."""
        if asset not in self._names:
            # In this order: a manifest is kept before it is removed, so that none is missed in between.
            manifests = {*self._manifests.names(asset)} | {*self._manifests.archived(asset)}
            self._names[asset] = {snapshot_of(manifest): manifest for manifest in sorted(manifests)}
        return self._names[asset]

    def _load(self, asset: AssetPath, manifest: str) -> Snapshot | None:
        for load in (self._manifests.load, self._manifests.load_archived):
            try:
                return load(asset, manifest)
            except FileNotFoundError:  # pruned, perhaps meanwhile; or removed by hand
                continue
        return None


def trace_lineage(
    made: HasInputs, find: Callable[[AssetPath, str], Snapshot | None]
) -> dict[str, Snapshot | None]:
    """Follow inputs to the snapshots that a table was made from, directly or indirectly.

    Parameters
    ----------
    made : HasInputs
    find : callable
        Takes an asset and the name of a snapshot, returns the snapshot or None.

    Returns
    -------
    dict
        Asset to snapshot: the nearer one, if two of an asset took part; None if it is named but not found.
    """
    found: dict[str, Snapshot | None] = {}
    todo = [made]
    while todo:
        for asset, name in todo.pop(0).inputs.items():
            if found.get(asset) is None:
                found[asset] = snapshot = find(tuple(asset.split("/")), name)
                todo += [snapshot] if snapshot else []
    return found
