"""The console command ``vision-assets``: it reads tables, classifies images and prepares runs."""

import io
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments of the process if None.

    Returns
    -------
    int
        Exit status: 0 on success, 1 after an error that the user can correct, 2 if it is a name that does not
        exist, as for an option that does not exist, 130 after Ctrl-C.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130  # of a program that Ctrl-C ended: 128 and the number of the signal


def _run(arguments: Sequence[str] | None) -> int:
    # Imported here, so that Ctrl-C amid them is no stack. --help needs no more than the parser.
    from vision_assets.cli.parser import build_parser  # noqa: PLC0415

    options = build_parser().parse_args(arguments)
    from vision_assets import settings  # noqa: PLC0415
    from vision_assets.cli.commands import COMMANDS  # noqa: PLC0415
    from vision_assets.errors import UnknownNameError  # noqa: PLC0415
    from vision_assets.redaction import redact  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for file names that are not text
    if options.verbose:
        print(redact(f"The tables are in {settings.data_folder()}."), file=sys.stderr)
    try:
        COMMANDS[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        from vision_assets.spark.diagnosis import diagnose  # noqa: PLC0415 - only after an error

        diagnosis = diagnose(error)
        if not diagnosis.is_known:
            raise
        if options.verbose:
            import traceback  # noqa: PLC0415

            print(redact("".join(traceback.format_exception(error))), file=sys.stderr)
        print(redact(diagnosis.text), file=sys.stderr)
        return 2 if isinstance(error, UnknownNameError) else 1
    return 0
