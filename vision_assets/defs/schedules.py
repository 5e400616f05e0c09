"""The schedules: an example for each job, which is off until somebody switches it on."""

from typing import TYPE_CHECKING

import dagster as dg

from vision_assets import settings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def make_schedule(job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Make the example of a schedule for a job: every night, at first switched off."""
    return dg.ScheduleDefinition(
        name=f"nightly_{job.name}",
        job=job,
        cron_schedule="0 2 * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"An example: runs {job.name} every night at 2:00 UTC, on the source that "
        f"{settings.SOURCE} names. Images that have not changed since the last run are reused. Switch it on "
        "instead of source_sensor where the source changes all day long, or cannot be listed every minute.",
    )
