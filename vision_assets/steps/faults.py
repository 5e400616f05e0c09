"""Damaged files of stored tables: which asset they belong to, and what replaces them."""

import re

from vision_assets.snapshots.manifests import damaged_file
from vision_assets.spark.diagnosis import local_file
from vision_assets.steps.catalog import SPECS

_SNAPSHOT_FILE = re.compile(r"/(?P<asset>[^/]+)/\d{8}T\d{6}-[^/]+/.+$")
"""Layout of the data folder: ``<data>/<asset>/<snapshot>/<file>``."""


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
    found = _SNAPSHOT_FILE.search(uri)
    if not found:
        return None
    spec = SPECS.get(found["asset"])
    return str(damaged_file(local_file(uri), fault, spec is not None and spec.table.is_per_image))
