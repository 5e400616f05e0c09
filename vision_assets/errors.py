"""Errors that the user can cause and correct."""


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. A retry without a change does
    not help, so assets turn this error into a failure that is not retried.
    """


class UnusableError(UserError):
    """The rows that a run has written are wrong: no later run may reuse them."""
