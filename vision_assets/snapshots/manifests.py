"""Manifests: each says that a snapshot is complete, and what made it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any

from vision_assets.errors import UserError
from vision_assets.snapshots.files import Files
from vision_assets.snapshots.layout import HISTORY, RECORDS, SNAPSHOT_NAME, AssetPath, path_of

_FILE = re.compile(rf"\d+-{SNAPSHOT_NAME}\.json", re.ASCII)
_CHECKSUM = "checksum"
_STORED_AS = {"check_results": "holds"}
"""Fields that have another name in a manifest: the one of the first release."""


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
        Number of the commit of the asset; it rises by one.
    uri : str
        Folder or URI of the table.
    run_id, code_version : str
    config : dict
        Configuration of the asset in that run.
    inputs : dict
        Asset to name of the snapshot that was read.
    counts : dict
        Counts of the table in its own terms, such as ``descriptors``.
    check_results : dict
        Name of a check to whether it passed before the commit.
    keys : str
        Fingerprint of the set of keys; equal sets have equal fingerprints.
    images : str
        Fingerprint of the set of images with their digests; only for a table of images.
    rows, files, bytes : int
    seconds : float
        From the start of the asset to its commit.
    committed_at : str
        UTC, ISO 8601.
    version : str
        Version of the content: equal for equal content in every run.
    row_version : str
        Version of everything that a row depends on besides its image: rows can be reused from snapshots with
        the same one. Empty if rows cannot be reused.
    fingerprint : str
        Fingerprint of everything that the table depends on: code, settings and the versions of the inputs. A
        table with the same one need not be made again. Empty in manifests of earlier releases.
    sizes : dict
        Name to size in bytes of each file in the folder; files of an index with their folder. Empty in
        manifests of the first releases.
    changes : dict
        How many rows were ``reused``, ``extracted``, ``dropped`` and so on. Empty for a table that is always
        made completely, and in manifests of the first releases.
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
    check_results: dict[str, bool]
    keys: str
    rows: int
    files: int
    bytes: int
    seconds: float
    committed_at: str
    images: str = ""
    version: str = ""
    row_version: str = ""
    fingerprint: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What tells the content from another: the version, or the name if an earlier release stored it."""
        return self.version or self.name

    @property
    def manifest(self) -> str:
        """Name of the manifest: the highest name of an asset belongs to its current snapshot."""
        return f"{self.sequence:010d}-{self.name}.json"

    @property
    def asset_path(self) -> AssetPath:
        """Parts of the asset key."""
        return tuple(self.asset.split("/"))

    @property
    def folder(self) -> str:
        """Path of the table, relative to the data folder."""
        return f"{self.asset}/{self.name}"


class Manifests:
    """The manifests of all assets in one data folder.

    Parameters
    ----------
    files : Files
        Root: the data folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def names(self, asset: AssetPath) -> list[str]:
        """Return the names of an asset's manifests, the current snapshot's last."""
        return self._names(asset, RECORDS)

    def _names(self, asset: AssetPath, folder: str) -> list[str]:
        return [name for name in self._files.names(path_of(asset, folder)) if _FILE.fullmatch(name)]

    def create(self, snapshot: Snapshot) -> None:
        """Create the manifest of a snapshot: from here on the snapshot exists."""
        self._files.create(path_of(snapshot.asset_path, RECORDS, snapshot.manifest), _to_bytes(snapshot))

    def load(self, asset: AssetPath, name: str) -> Snapshot:
        """Read a manifest.

        Raises
        ------
        FileNotFoundError
            If another run has removed it.
        UserError
            If it is damaged.
        """
        content = self._files.read(path_of(asset, RECORDS, name))
        return self._parse(content, asset, name, RECORDS, "go back to the snapshot before it")

    def _parse(self, content: bytes, asset: AssetPath, name: str, folder: str, purpose: str) -> Snapshot:
        try:
            stored = json.loads(content)
            checksum = stored.pop(
                _CHECKSUM, None
            )  # missing in manifests of the first releases, as all fields with a default
            known = {
                f.name: stored[_stored_as(f.name)]
                for f in fields(Snapshot)
                if f.name != "uri"
                and (_stored_as(f.name) in stored or f.default is f.default_factory is MISSING)
            }
            _require(checksum in (None, _checksum(stored)), "its checksum differs")
            _require(known["asset"] == "/".join(asset), "it belongs to another asset")
            _require(known["name"] == snapshot_of(name), "it belongs to another snapshot")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            file = self._files.uri(path_of(asset, folder, name))
            raise UserError(f"The manifest {file} is damaged ({error}). Remove it to {purpose}.") from error
        return Snapshot(uri=self._files.uri(path_of(asset, known["name"])), **known)

    def archive(self, asset: AssetPath, name: str, content: bytes) -> None:
        """Keep a manifest, without the sizes of the files, beyond its removal.

        Parameters
        ----------
        asset : tuple of str
        name : str
        content : bytes
            The manifest as it is stored.

        Raises
        ------
        UserError
            If it is damaged.
        """
        snapshot = self._parse(content, asset, name, RECORDS, "go back to the snapshot before it")
        try:
            # A table may have thousands of files, and they will be gone.
            self._files.create(path_of(asset, HISTORY, name), _to_bytes(replace(snapshot, sizes={})))
        except Exception:
            # Another run, or an earlier one that died, has kept it: not every storage overwrites.
            if name not in self.archived(asset):
                raise

    def archived(self, asset: AssetPath) -> list[str]:
        """Return the names of the manifests of an asset's pruned snapshots, the newest last."""
        return self._names(asset, HISTORY)

    def load_archived(self, asset: AssetPath, name: str) -> Snapshot:
        """Read the manifest of a pruned snapshot.

        Raises
        ------
        FileNotFoundError
            If there is none.
        UserError
            If it is damaged.
        """
        content = self._files.read(path_of(asset, HISTORY, name))
        return self._parse(content, asset, name, HISTORY, "leave this run out of comparisons")

    def delete_unfinished(self, asset: AssetPath) -> None:
        """Remove what runs that died left of manifests that they were about to keep."""
        stored = self.names(asset)
        for name in self._files.names(path_of(asset, HISTORY)):
            # As long as the manifest is stored, another run may be writing it.
            if name.startswith(".") and not any(manifest in name for manifest in stored):
                self._files.delete(path_of(asset, HISTORY, name))

    def content(self, asset: AssetPath, name: str) -> bytes | None:
        """Return a manifest as it is stored, for `put_back`; None if another run has removed it."""
        try:
            return self._files.read(path_of(asset, RECORDS, name))
        except FileNotFoundError:
            return None

    def delete(self, asset: AssetPath, name: str) -> None:
        """Remove a manifest: from here on the snapshot does not exist."""
        self._files.delete(path_of(asset, RECORDS, name))

    def put_back(self, asset: AssetPath, name: str, content: bytes) -> None:
        """Undo `delete`."""
        self._files.create(path_of(asset, RECORDS, name), content)


def changes_of(snapshot: Snapshot) -> str:
    """Say what was reused, computed and dropped for a snapshot: ``200 reused, 40 extracted``."""
    return ", ".join(f"{rows:,} {what}" for what, rows in snapshot.changes.items() if rows)


def snapshot_of(manifest: str) -> str:
    """Return the name of a manifest's snapshot."""
    return manifest.removesuffix(".json").split("-", 1)[1]


def damaged_file(file: str, fault: str) -> UserError:
    """Return the error for a damaged file of a snapshot.

    Parameters
    ----------
    file : str
        Path or URI of the file: ``<data>/<asset>/<snapshot>/<file>``.
    fault : str
        Predicate of the message, such as ``is missing``.

    Returns
    -------
    UserError
    """
    parts = file.split("/")
    *folder, asset, name = parts[:-2] if parts[-2][0] == "_" else parts[:-1]
    manifest = "/".join((*folder, asset, RECORDS, f"*-{name}.json"))
    return UserError(
        f"{file} {fault}. Materialize {asset} again with `full_refresh: true`, or remove {manifest} to go "
        "back to the snapshot before it."
    )


def _to_bytes(snapshot: Snapshot) -> bytes:
    stored = {_stored_as(name): value for name, value in asdict(snapshot).items() if name != "uri"}
    content = json.dumps(stored | {_CHECKSUM: _checksum(stored)}, indent=1, ensure_ascii=False)
    return content.encode()


def _stored_as(field_name: str) -> str:
    return _STORED_AS.get(field_name, field_name)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _checksum(stored: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()[:32]
