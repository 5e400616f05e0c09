"""The code location: everything that Dagster loads."""

from collections.abc import Sequence
from importlib import import_module

import dagster as dg

from vision_assets.defs.automation import follow_upstream_sensor
from vision_assets.defs.checks import invariant_checks
from vision_assets.defs.executor import interruptible_executor
from vision_assets.defs.jobs import make_job
from vision_assets.defs.resources import make_resources
from vision_assets.defs.schedules import make_schedule
from vision_assets.defs.sensors import source_sensor
from vision_assets.pipelines import Pipeline, configured_pipelines, steps_of
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.spec import StepSpec


def make_definitions(pipelines: Sequence[Pipeline]) -> dg.Definitions:
    """Make what Dagster loads for some pipelines: assets, checks, jobs, schedules, sensors, resources.

    Parameters
    ----------
    pipelines : sequence of Pipeline

    Returns
    -------
    Definitions
    """
    specs = [SPECS[step.asset] for step in steps_of(pipelines)]
    jobs = [make_job(pipeline) for pipeline in pipelines]
    return dg.Definitions.merge(
        *map(_of_step, specs),
        dg.Definitions(
            asset_checks=[invariant_checks(spec) for spec in specs],
            jobs=jobs,
            schedules=[make_schedule(job) for job in jobs],
            sensors=[source_sensor, follow_upstream_sensor],
            resources=make_resources(),
            executor=interruptible_executor,
        ),
    )


def _of_step(spec: StepSpec) -> dg.Definitions:
    # As in `vision_assets.steps.catalog`: the kind of a step is the name of its module.
    made: dg.Definitions = import_module(f"vision_assets.defs.assets.{spec.step.kind}").make_definitions(spec)
    return made


defs = make_definitions(configured_pipelines())
