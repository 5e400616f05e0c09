"""The executor of all jobs: one process per run, which an interrupt ends. Its last line says why it ended."""

import atexit
import os
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster._core.executor.in_process import InProcessExecutor

from vision_assets.collection import Collection
from vision_assets.defs.console import cause_of, hide_what_the_last_line_repeats
from vision_assets.defs.failures import INTERRUPTED, tells_of_an_interrupt
from vision_assets.defs.history import show_under_its_job
from vision_assets.defs.run_settings import check_settings
from vision_assets.errors import UserError
from vision_assets.redaction import redact

_EXIT_STATUS = 130  # of a program that Ctrl-C ended: 128 and the number of the signal


class InterruptibleExecutor(InProcessExecutor):
    """Runs the steps in this process, with one JVM and one Spark session; Spark runs tasks in parallel.

    An interrupt cancels the run. Dagster's own executor retries the step, because an interrupt counts as a
    failure that its retry policy covers. Wrong settings end the run before its first step. After a failure,
    the last line of the process says what failed, and why: `dagster job execute` ends with the id of the run
    alone.
    """

    def __init__(self, collection: Collection, like: InProcessExecutor) -> None:
        super().__init__(like.retries, like.step_dependency_config, like.marker_to_close)
        self._collection = collection

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Yield the events of a run.

        Parameters
        ----------
        plan_context : PlanOrchestrationContext
        execution_plan : ExecutionPlan

        Yields
        ------
        DagsterEvent

        Raises
        ------
        Failure
            If a setting is wrong.
        DagsterExecutionInterruptedError
            After a step that was interrupted.
        """
        run, instance = plan_context.dagster_run, plan_context.instance
        try:
            show_under_its_job(instance, run, self._collection.location)
        except Exception as error:  # noqa: BLE001 - where the UI shows a run is no reason to fail
            plan_context.log.warning(f"the run is not shown under its job: {redact(str(error))}")
        try:
            check_settings(plan_context.run_config, self._collection, plan_context.log.info)
        except UserError as error:
            _end_with(str(error))
            raise dg.Failure(str(error), allow_retries=False) from None
        try:
            yield from _up_to_an_interrupt(super().execute(plan_context, execution_plan))
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            if instance.get_run_by_id(run.run_id).status is not dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceling(run, INTERRUPTED)
            hide_what_the_last_line_repeats()
            atexit.register(_exit)
            raise dg.DagsterExecutionInterruptedError(INTERRUPTED) from None


def make_executor(collection: Collection) -> dg.ExecutorDefinition:
    """Make the executor of a collection, with the configuration of `dagster.in_process_executor`."""

    @dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload]
    def interruptible_executor(init_context: dg.InitExecutorContext) -> InterruptibleExecutor:
        made: Any = dg.in_process_executor.executor_creation_fn(init_context)  # type: ignore[misc]
        return InterruptibleExecutor(collection, made)

    return interruptible_executor


def _up_to_an_interrupt(events: Iterator[dg.DagsterEvent]) -> Iterator[dg.DagsterEvent]:
    for event in events:
        yield event
        if tells_of_an_interrupt(event):
            raise dg.DagsterExecutionInterruptedError
        if event.is_step_failure and event.step_failure_data.error:
            _end_with(f"{event.step_key} failed: {cause_of(event.step_failure_data.error)}")


def _end_with(text: str) -> None:
    """Have the last line of the process say why it failed."""
    hide_what_the_last_line_repeats()
    atexit.register(_say_why, text)


def _say_why(text: str) -> None:
    print(f"Error: {text}", file=sys.stderr)


def _exit() -> None:
    """End the process with the status of an interrupt; `dagster job execute` would end it with 1."""
    print(INTERRUPTED, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_EXIT_STATUS)
