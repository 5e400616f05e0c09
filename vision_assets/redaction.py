"""Removes passwords and keys from what messages, logs and stored metadata show."""

import re
from collections.abc import Mapping
from typing import Any

_USER_INFO = re.compile(r"(?<=://)[^\s/@:]+:(?!\d+/)[^\s@]*(?=@)")
"""User and password of a URI. A secret key may contain a '/', and an '@' may follow a port."""

_SECRET = re.compile(r"((?:secret|password|token|access[._]?key)[\w.]*=)[^\s,;&)\]}'\"]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace the passwords of URIs, and the values of secret settings, by ``***``.

    Parameters
    ----------
    text : str
        A URI, a message or a complete traceback.

    Returns
    -------
    str

    Examples
    --------
    >>> redact("cannot read s3a://KEY:SECRET@bucket/images")
    'cannot read s3a://***@bucket/images'
    """
    return _SECRET.sub(r"\1***", _USER_INFO.sub("***", text))


def redact_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they may be stored and shown: their texts redacted."""
    return {name: redact(value) if isinstance(value, str) else value for name, value in settings.items()}
