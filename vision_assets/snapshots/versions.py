"""Versions of tables and rows: equal if what made them is, whichever run did."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def version_of(code_version: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the version of a table, or of its rows, that is a function of its inputs.

    Parameters
    ----------
    code_version : str
        Of the asset.
    settings : mapping
        All that the content depends on besides the inputs.
    inputs : mapping
        Asset to version.

    Returns
    -------
    str
    """
    return digest(code_version, settings, inputs)


def digest(*values: Any) -> str:
    """Return a digest of values that JSON can hold."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
