"""Dagster's default run launcher, extended to tell whether a run is alive.

All runs of the code location are processes of its server, which reports within a second if one is killed.
Nothing reports runs that died together with the server: the default launcher cannot check them, so Dagster's
monitoring leaves them in progress forever. This launcher asks the server.

It needs `dagster api grpc`, because the proxy of `dagster code-server start` does not forward this question.
"""

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult


class MonitoredRunLauncher(dg.DefaultRunLauncher):
    """Launch runs in their code server, and ask it which of them are alive."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether Dagster's monitoring can check runs."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check whether a run in progress still has a process.

        Parameters
        ----------
        run : DagsterRun

        Returns
        -------
        CheckRunHealthResult
            ``NOT_FOUND`` only if the server says so. An unknown state counts as alive and is checked again.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "The run has ended, or no server started it.")
        try:
            answer = dg.deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "The code server does not answer.")
        if run.run_id in answer.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "The code server does not know this run: it has restarted since."
        )
