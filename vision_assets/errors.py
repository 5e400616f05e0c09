"""The one kind of error that a user can cause and mend, and what no message may show."""

import re

_USER_INFO = re.compile(r"(?<=://)[^\s/@:]+:(?!\d+/)[^\s@]*(?=@)")
"""User and password of a URI; a secret key may have a '/', and what a port is followed by may have an '@'."""

_SECRET = re.compile(r"((?:secret|password|token|access[._]?key)[\w.]*=)[^\s,;&)\]}'\"]+", re.IGNORECASE)


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. Trying again without a
    change does not help, so assets turn it into a failure that is not retried.
    """


class UnusableError(UserError):
    """What a run has written must not be used by a later one."""


def worker_error(error: Exception) -> UserError | None:
    """Find the `UserError` that a Spark worker has raised in the text of Spark's error.

    Parameters
    ----------
    error : Exception
        As the driver sees it.

    Returns
    -------
    UserError or None
        None if the cause is another.
    """
    found = re.search(rf"^{re.escape(UserError.__module__)}\.UserError: (.+)$", str(error), re.MULTILINE)
    return UserError(found[1]) if found else None


def redact(text: str) -> str:
    """Return a text without the passwords of the URIs in it, and without values given to secret settings.

    Parameters
    ----------
    text : str
        A URI, a message, or a whole traceback.

    Returns
    -------
    str
        With `***` in their places: ``s3a://***@bucket/images``.
    """
    return _SECRET.sub(r"\1***", _USER_INFO.sub("***", text))


def no_permission(file: str) -> UserError:
    """Make the error for a file or folder that this user may not use."""
    return UserError(f"{file}: permission denied. Allow this user to read and write there, then run again.")
