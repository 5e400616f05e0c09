"""The one kind of error that a user can cause and mend."""


class UserError(Exception):
    """Something in the input, the configuration or the storage is wrong.

    The message says in one or two lines what is wrong, where, and what to do. Trying again without a
    change does not help, so assets turn it into a failure that is not retried.
    """
