"""Versions of tables and rows: a function of what made them, equal in every run."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def version_of(code_version: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the version of a table, or of its rows.

    Parameters
    ----------
    code_version : str
        Code version of the asset.
    settings : mapping
        Everything that the content depends on besides the inputs.
    inputs : mapping
        Asset to version.

    Returns
    -------
    str
    """
    return digest(code_version, settings, inputs)


def digest(*values: Any) -> str:
    """Return a digest of values that JSON can represent."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
