"""Errors that the user can cause and correct."""

import difflib
from collections.abc import Iterable

_SHORTEST_PART = 3
"""Characters of a part of a name by which the name is recognized: `bow` means `bow_encodings`."""


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. A retry without a change does
    not help, so assets turn this error into a failure that is not retried.
    """


class UnusableError(UserError):
    """The rows that a run has written are wrong: no later run may reuse them."""


class UnknownNameError(UserError):
    """The user named something that does not exist. The console ends with exit status 2.

    Parameters
    ----------
    what : str
        What was named: ``asset``.
    name : str
        The name as given.
    names : iterable of str
        The names that exist.
    hint : str
        Another sentence.
    """

    def __init__(self, what: str, name: str, names: Iterable[str], hint: str = "") -> None:
        known = list(names)
        near = nearest(name, known)
        advice = f"Did you mean {near}?" if near else f"Choose one of {', '.join(known)}." if known else ""
        super().__init__(" ".join(filter(None, [f"There is no {what} {name!r}.", advice, hint])))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of some known names that an unknown one is most like; None if none is near."""
    names = list(known)
    containing = [each for each in names if len(name) >= _SHORTEST_PART and name in each]
    return next(iter(difflib.get_close_matches(name, names, n=1) or containing), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return what a message about an unknown word suggests; empty if no known one is near."""
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""
