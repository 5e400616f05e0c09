"""Errors that the user can cause and correct."""

import re


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. A retry without a change does
    not help, so assets turn this error into a failure that is not retried.
    """


class UnusableError(UserError):
    """The rows that a run has written are wrong: no later run may reuse them."""


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


def no_permission(file: str) -> UserError:
    """Return the error for a file or folder that this user may not read or write."""
    return UserError(f"{file}: permission denied. Allow this user to read and write there, then run again.")
