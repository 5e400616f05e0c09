"""Lines of a run on the terminal: time, asset, message. The run's history has all events, and the stacks."""

import logging
import os
import re
import sys
from types import TracebackType
from typing import Any

import click
import dagster as dg

from vision_assets import settings
from vision_assets.defs.failures import tells_of_an_interrupt
from vision_assets.errors import UserError
from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINES
from vision_assets.redaction import redact

_FOLLOWS = re.compile(r"(Dependencies for step \S+ .*Not executing|Skipping step \S+ due to skipped .*)\.")
_RESULT = re.compile(r"Run \S+ resulted in failure\.")
_FAILURE = "dagster._core.definitions.events.Failure: "
_WIDTH = max(map(len, PIPELINES[DEFAULT_EXTRACTOR].assets))
_WARNING, _ERROR, _PLAIN = "\x1b[33m", "\x1b[31m", "\x1b[0m"


def cause_of(error: Any) -> str:
    """Return the cause of an error of a step in one or two lines.

    Parameters
    ----------
    error : SerializableErrorInfo
        An error with those that it was raised from.

    Returns
    -------
    str
        The text of the first `dagster.Failure`, which `vision_assets.defs.failures` writes for users; without
        one, the text of the first cause of all.
    """
    while error.cause and not error.message.startswith(_FAILURE):
        error = error.cause
    return str(error.message.removeprefix(_FAILURE).strip())


def level_of(record: logging.LogRecord) -> int:
    """Return how important a record is to who looks at the terminal."""
    event = _event_of(record)
    if event is None:
        # The steps after one that has failed or was skipped, whose own line tells why.
        follows = _FOLLOWS.fullmatch(_message_of(record))
        return logging.DEBUG if follows else record.levelno
    # The process ends with a line on it.
    if tells_of_an_interrupt(event) or event.event_type is dg.DagsterEventType.RUN_CANCELED:
        return logging.DEBUG
    # Dagster logs it as DEBUG, and then nothing for as long as the step waits.
    if event.is_step_up_for_retry:
        return logging.WARNING
    # A failed check is DEBUG, too.
    if check := _failed_check(event):
        return logging.WARNING if check.severity is dg.AssetCheckSeverity.WARN else logging.ERROR
    # It repeats the line of the step.
    if event.is_run_failure and event.job_failure_data.first_step_failure_event:
        return logging.DEBUG
    return record.levelno


class LineFormatter(logging.Formatter):
    """Formats records of Dagster's log: ``17:00:00 sift_features          240 images, 11.5 MB``.

    Parameters
    ----------
    stacks : bool
        Whether a failure shows its stack.
    colors : bool
        Whether warnings and errors have colours.
    """

    def __init__(self, *, stacks: bool = False, colors: bool = False) -> None:
        super().__init__()
        self._stacks = stacks
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; several lines if the message has them or a stack is shown."""
        meta = getattr(record, "dagster_meta", {})
        text, level = self._text(record), level_of(record)
        event = _event_of(record)
        check = _failed_check(event) if event else None
        # The step of a check has a name that nobody chose.
        asset = check.asset_key.path[-1] if check else meta.get("step_key") or ""
        line = f"{self.formatTime(record, '%H:%M:%S')} {asset:{_WIDTH}}  "
        if level < logging.WARNING:
            return line + text
        label, color = ("error", _ERROR) if level >= logging.ERROR else ("warning", _WARNING)
        line += f"{label}: {text}"
        return f"{color}{line}{_PLAIN}" if self._colors else line

    def _text(self, record: logging.LogRecord) -> str:
        text, stack = _message_of(record), ""
        event = _event_of(record)
        data: Any = event and event.event_specific_data
        if event and (check := _failed_check(event)):
            return f"check {check.check_name}: {check.description or 'failed'}"
        if error := getattr(data, "error", None):
            text, stack = cause_of(error), str(getattr(data, "error_display_string", error.to_string()))
            if event and event.is_step_up_for_retry:
                text += f" Another attempt begins in {data.seconds_to_wait or 0:.0f} s."
        elif record.exc_info:
            stack = self.formatException(record.exc_info)
        return f"{text}\n{stack}" if stack and self._stacks else text


def _message_of(record: logging.LogRecord) -> str:
    """Return a message without the ids that Dagster puts before it."""
    return str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))


def _event_of(record: logging.LogRecord) -> dg.DagsterEvent | None:
    event: dg.DagsterEvent | None = getattr(record, "dagster_meta", {}).get("dagster_event")
    return event


def _failed_check(event: dg.DagsterEvent) -> dg.AssetCheckEvaluation | None:
    """Return the check of an asset that an event tells of, if it has failed."""
    data: Any = event.event_specific_data
    is_failed = event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION and not data.passed
    return data if is_failed else None


def _logger(level: int) -> logging.Logger:
    handler = logging.StreamHandler()  # stderr
    handler.addFilter(lambda record: level_of(record) >= level)
    colors = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    handler.setFormatter(LineFormatter(stacks=level <= logging.DEBUG, colors=colors))
    # The handler decides, because the events of Dagster that matter here have the level DEBUG.
    logger = logging.Logger("vision_assets", logging.DEBUG)
    logger.addHandler(handler)
    return logger


def _given_level(context: dg.InitLoggerContext) -> int:
    return logging.getLevelNamesMapping()[context.logger_config["log_level"].upper()]


@dg.logger(
    config_schema=dg.colored_console_logger.config_schema, description="Short lines: time, asset, message."
)
def console_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """Make the logger of runs whose configuration has ``loggers: console:``."""
    return _logger(_given_level(context))


def _default_logger(context: dg.InitLoggerContext) -> logging.Logger:
    # Without `python_logs` in dagster.yaml, Dagster asks for DEBUG: about 200 lines in each run.
    return _logger(settings.log_level() or max(_given_level(context), logging.INFO))


def use_short_lines() -> None:
    """Have all runs of this process log short lines, and an error of the configuration be one.

    Dagster uses the loggers of `dagster.Definitions` only in runs whose configuration names them, and has no
    setting for the others.
    """
    dg.colored_console_logger._logger_fn = _default_logger
    sys.excepthook = _say_what_is_misconfigured
    logging.getLogger().addFilter(_tells_something)
    # Where an asset has nothing to make, its checks have nothing to say; the asset's own line tells why.
    logging.getLogger("dagster._core.execution.plan.active").addFilter(
        lambda record: "emitted no result" not in record.getMessage()
    )


def _tells_something(record: logging.LogRecord) -> bool:
    # Py4J logs it with a stack at Ctrl-C, which the run's last line tells of.
    return record.msg != "KeyboardInterrupt while sending command."


def _user_error_behind(error: BaseException | None) -> UserError | None:
    """Return the error that another one was raised from, if the user can correct it."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def hide_what_the_last_line_repeats() -> None:
    """Keep `dagster job execute` from ending with "Run … resulted in failure".

    The process ends with a line on the cause, or on the interrupt, after which it would be false.
    """
    show = click.ClickException.show

    def show_others(error: click.ClickException, file: Any = None) -> None:
        if not _RESULT.fullmatch(error.message):
            show(error, file)

    click.ClickException.show = show_others  # type: ignore[method-assign, assignment]


def _say_what_is_misconfigured(
    kind: type[BaseException], error: BaseException, stack: TracebackType | None
) -> None:
    """Print an error that ends a process: without its stack if the user can correct it."""
    if user_error := _user_error_behind(error):
        print("\n".join(f"Error: {redact(line)}" for line in str(user_error).splitlines()), file=sys.stderr)
        return
    if not isinstance(error, dg.DagsterInvalidConfigError):
        sys.__excepthook__(kind, error, stack)
        return
    for each in error.errors:
        # What Dagster expects instead is a list of all settings with their types, in one line.
        text = each.message.partition(" Expected: ")[0]
        print(f"Error: {redact(text)} docs/configuration.md lists all settings.", file=sys.stderr)
