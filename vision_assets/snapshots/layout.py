"""Where things lie in the data folder.

The layout::

    <asset key…>/<snapshot>/part-…                      the table, plain Parquet or SequenceFile
    <asset key…>/_snapshots/<sequence>-<snapshot>.json  the manifest: this snapshot is whole
    <asset key…>/_snapshots/<snapshot>.pending          the marker: being written, read, or left by a dead run
    <asset key…>/_snapshots/<snapshot>.beat             the last sign of life of whoever does
    <asset key…>/_checkpoints/                          how far a long computation has come
"""

from collections.abc import Sequence

AssetPath = tuple[str, ...]

NOTES = "_snapshots"
"""Folder of manifests, markers and signs of life."""

CHECKPOINTS = "_checkpoints"

SNAPSHOT_NAME = r"[\w-]+"
"""What is deleted goes by names of files: ``..`` in one must not lead out of the data folder."""


def path_of(asset: Sequence[str], *names: str) -> str:
    """Return the path of something of an asset, relative to the data folder."""
    return "/".join((*asset, *names))
