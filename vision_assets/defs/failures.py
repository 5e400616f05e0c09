"""Errors as Dagster failures: the cause in the first line, and another attempt only where it can help."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from vision_assets.redaction import redact
from vision_assets.spark.diagnosis import Diagnosis, diagnose
from vision_assets.spark.interrupts import as_keyboard_interrupts
from vision_assets.spark.jvm import stop_jvm
from vision_assets.steps.damage import damaged_table

RETRY_POLICY = dg.RetryPolicy(
    max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""For all assets and checks: a lost executor, a storage that does not answer or a killed JVM may pass."""

INTERRUPTED = "Interrupted. What is finished is kept, and the next run continues from it."
_INTERRUPTS = {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}


@contextmanager
def failures() -> Iterator[None]:
    """Turn what is raised in the block, or in a Spark worker for it, into a `dagster.Failure`.

    Its description names the cause in plain words. A failure that the user has to fix is not retried. An
    interrupt is not retried either; `vision_assets.defs.executor` ends the run after it.
    """
    try:
        with as_keyboard_interrupts():
            yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        stop_jvm()
        raise dg.Failure(INTERRUPTED, allow_retries=False) from None
    except (dg.Failure, dg.RetryRequested, dg.DagsterError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its cause is named
        diagnosis = diagnose(error, damaged_file=damaged_table)
        raise _failure(diagnosis) from (None if diagnosis.says_all else _redacted(error))


def tells_of_an_interrupt(event: dg.DagsterEvent) -> bool:
    """Return whether a step ended, or asks for another attempt, because it was interrupted."""
    if event.is_step_failure:
        failure = event.step_failure_data.user_failure_data
        if failure is not None and failure.description == INTERRUPTED:
            return True
        error: Any = event.step_failure_data.error
    elif event.is_step_up_for_retry:  # it came while Dagster's own code ran, which asks for a retry
        error = event.step_retry_data.error
    else:
        return False
    while error is not None:
        if error.cls_name in _INTERRUPTS:
            return True
        error = error.cause
    return False


def _failure(cause: Diagnosis) -> dg.Failure:
    return dg.Failure(redact(cause.text), allow_retries=cause.may_pass and not _is_last_attempt())


def _is_last_attempt() -> bool:
    """Tell whether Dagster would put its own "Exceeded max_retries" before the cause."""
    try:
        return dg.OpExecutionContext.get().retry_number >= RETRY_POLICY.max_retries
    except dg.DagsterInvariantViolationError:  # not in a step
        return False


def _redacted(error: Exception) -> Exception:
    """Return an error for the stack below a failure, without secrets anywhere in it."""
    text = "".join(traceback.format_exception(error))
    shown = redact(text)
    return error if shown == text else RuntimeError(shown)
