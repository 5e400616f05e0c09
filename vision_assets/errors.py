"""The one kind of error that a user can cause and mend."""

import re


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. Trying again without a
    change does not help, so assets turn it into a failure that is not retried.
    """


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
