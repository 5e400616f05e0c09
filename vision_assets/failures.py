"""User errors as Dagster failures: the cause in the first line, and no retry that cannot help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from vision_assets.errors import UserError, worker_error


@contextmanager
def failures() -> Iterator[None]:
    """Turn a `UserError` raised in the block, or in a Spark worker for it, into a `dagster.Failure`."""
    try:
        yield
    except UserError as error:
        raise _failure(error) from None
    except Exception as error:
        cause = worker_error(error) or _storage_error(error)
        if cause is None:
            raise
        raise _failure(cause) from None


def _storage_error(error: Exception) -> UserError | None:
    full = "No space left on device"
    if full not in str(error):
        return None
    return UserError(
        f"{full}: the data folder or Spark's temporary folder is full. Make room, then run again."
    )


def _failure(error: UserError) -> dg.Failure:
    return dg.Failure(description=str(error), allow_retries=False)
