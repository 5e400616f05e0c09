"""Runs of Dagster's commands in its history, under their job and in the timeline."""

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG


def show_under_its_job(instance: dg.DagsterInstance, run: dg.DagsterRun, location: str) -> None:
    """Record which code location a run belongs to, if that is not known.

    Dagster's UI and daemon record it. `dagster job execute`, `dagster asset materialize` and `dg launch` do
    not, and the UI then shows the run in its list of all runs alone.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    run : dagster.DagsterRun
    location : str
        Name of the code location.
    """
    if run.remote_job_origin:
        return
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), SINGLETON_REPOSITORY_NAME)
    instance.add_run_tags(run.run_id, {REPOSITORY_LABEL_TAG: repository.get_label()})
    if stored := instance.get_run_by_id(run.run_id):
        instance.run_storage.replace_job_origin(stored, repository.get_job_origin(run.job_name))
