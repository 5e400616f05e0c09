"""The console command ``vision-assets``: it reads tables, classifies images and prepares runs."""

import io
import os
import sys
from collections.abc import Sequence

from vision_assets.cli.parser import build_parser
from vision_assets.errors import UserError, no_permission, redact


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments of the process if None.

    Returns
    -------
    int
        Exit status: 0 on success, 1 after an error that the user can correct.
    """
    options = build_parser().parse_args(arguments)
    from vision_assets.cli.commands import COMMANDS  # noqa: PLC0415 - --help needs none of them

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for file names that are not text
    try:
        COMMANDS[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except PermissionError as error:
        print(no_permission(error.filename), file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        if not (cause := _storage_cause(error)):
            raise
        print(cause, file=sys.stderr)
        return 1
    return 0


def _storage_cause(error: Exception) -> str | None:
    """Return the cause that a storage behind Hadoop reported, in plain words; None if it reported none."""
    if "py4j" not in sys.modules:
        return None
    from vision_assets.spark.causes import known_cause  # noqa: PLC0415 - Spark is loaded already

    cause = known_cause(error)
    return redact(cause.text) if cause else None
