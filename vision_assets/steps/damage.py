"""Damaged files of stored tables: which asset they belong to, and what replaces them."""

from vision_assets.snapshots.layout import SNAPSHOT_FILE
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.uris import readable


def damaged_table(uri: str, fault: str) -> str | None:
    """Return the message about a damaged file, if it is a file of a stored table.

    Parameters
    ----------
    uri : str
        Path or URI of the file.
    fault : str
        What is wrong with it, such as ``is missing``.

    Returns
    -------
    str or None
        With the asset to materialize again; None if the file is not part of a snapshot.
    """
    found = SNAPSHOT_FILE.search(uri)
    return str(damaged_file(readable(uri), fault)) if found else None
