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
