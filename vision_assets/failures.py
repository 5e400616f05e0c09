"""User errors as Dagster failures: the cause in the first line, and no retry that cannot help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from vision_assets.errors import UserError

_NAME = f"{UserError.__module__}.{UserError.__qualname__}: "


@contextmanager
def failures() -> Iterator[None]:
    """Turn a `UserError` raised in the block, or in a Spark worker for it, into a `dagster.Failure`."""
    try:
        yield
    except UserError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except Exception as error:
        _, found, rest = str(error).partition(_NAME)
        if not found:
            raise
        raise dg.Failure(description=rest.partition("\n\n")[0].strip(), allow_retries=False) from None
