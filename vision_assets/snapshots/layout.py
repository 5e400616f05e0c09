"""Names of the files and folders in a data folder.

The layout::

    <asset key…>/<snapshot>/part-…                      the table, plain Parquet or SequenceFile
    <asset key…>/_snapshots/<sequence>-<snapshot>.json  the manifest: this snapshot is complete
    <asset key…>/_snapshots/<name>.pending              a lease: a process writes a snapshot or reads one
    <asset key…>/_snapshots/<name>.beat                 the last heartbeat of that process
    <asset key…>/_history/<sequence>-<snapshot>.json    the manifest of a snapshot that was pruned
    <asset key…>/_checkpoints/                          intermediate results of a long computation
    collections/<name>/                                 the data folder of a collection
"""

import re
import uuid
from collections.abc import Sequence

COLLECTIONS = "collections"
"""Folder with a data folder for each collection that has a name. No asset is called so."""

AssetPath = tuple[str, ...]
"""Parts of an asset key."""

RECORDS = "_snapshots"
"""Folder of an asset's manifests, leases and heartbeats."""

HISTORY = "_history"
"""Folder of the manifests of an asset's pruned snapshots."""

CHECKPOINTS = "_checkpoints"
"""Folder of an asset's checkpoints."""

SNAPSHOT_FILE = re.compile(r"/(?P<asset>[^/]+)/\d{8}T\d{6}-[^/]+/.+$")
"""Path or URI of a file of a snapshot: ``<data>/<asset>/<snapshot>/<file>``."""

SNAPSHOT_NAME = r"[\w-]+"
"""Pattern of names that may become a path: ``..`` in a file's name must not lead out of the data folder."""


def path_of(asset: Sequence[str], *names: str) -> str:
    """Return the path of a file or folder of an asset, relative to the data folder."""
    return "/".join((*asset, *names))


def temporary_name(name: str) -> str:
    """Return the hidden name that a file has until it is complete; it contains the final name."""
    return f".{name}.{uuid.uuid4().hex}"
