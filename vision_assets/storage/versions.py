"""Versions of tables and rows: equal if what made them is, whichever run did."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from vision_assets.storage.snapshots import Snapshot


def table_version(code_version: str, settings: Mapping[str, Any], inputs: Mapping[str, Snapshot]) -> str:
    """Return the version of a table that is a function of its inputs.

    Parameters
    ----------
    code_version : str
        Of the asset.
    settings : mapping
        All that the content depends on besides the inputs.
    inputs : mapping
        Asset to the snapshot that is read.

    Returns
    -------
    str
    """
    return digest(code_version, settings, {asset: s.version or s.name for asset, s in inputs.items()})


def row_version(
    code_version: str, settings: Mapping[str, Any], inputs: Mapping[str, Snapshot], rows_from: str | None
) -> str:
    """Return the version of all that a row depends on besides its image.

    Parameters
    ----------
    code_version, settings, inputs
        As of `table_version`.
    rows_from : str, optional
        The input whose row of the same image is all that a row depends on of it.

    Returns
    -------
    str
    """
    versions = {
        asset: (s.row_version if asset == rows_from else s.version) or s.name for asset, s in inputs.items()
    }
    return digest(code_version, settings, versions)


def digest(*values: Any) -> str:
    """Return a digest of values that JSON can hold."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
