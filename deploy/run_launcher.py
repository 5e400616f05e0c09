"""Dagster's default launcher, and whether the runs that it has launched are alive.

All runs of the code location are processes of its server, which reports within a second if one is killed. But
nobody reports the end of those that died together with the server: the default launcher cannot tell, so that
Dagster's monitoring leaves them in progress for ever. This one asks the server.

It needs `dagster api grpc`: the proxy of `dagster code-server start` does not pass this question on.
"""

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import GetCurrentRunsResult


class MonitoredRunLauncher(dg.DefaultRunLauncher):
    """Launches runs in their code server, and asks it for them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether Dagster's monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Tell whether a run that is in progress has a process.

        Parameters
        ----------
        run : DagsterRun

        Returns
        -------
        CheckRunHealthResult
            NOT_FOUND only if the server says so; what cannot be known counts as alive, to be asked again.
        """
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "It has ended, or no server has started it.")
        try:
            answer = dg.deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "The code server does not answer.")
        if run.run_id in answer.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "The code server has no such run: it was started anew since."
        )
