"""The code locations: everything that Dagster loads.

`defs` is the collection without a name. An attribute with the name of another collection has its definitions:
``dagster job execute -m vision_assets.definitions -a flowers -j bovw_pipeline``.
"""

from collections.abc import Sequence
from importlib import import_module

import dagster as dg

from vision_assets.collection import Collection, has_collection, open_collection
from vision_assets.defs.automation import follow_upstream_sensor
from vision_assets.defs.checks import invariant_checks
from vision_assets.defs.console import console_logger, use_short_lines
from vision_assets.defs.executor import make_executor
from vision_assets.defs.jobs import make_job
from vision_assets.defs.project_settings import settings_check
from vision_assets.defs.resources import make_resources
from vision_assets.defs.schedules import make_schedule
from vision_assets.defs.sensors import make_source_sensor
from vision_assets.errors import UserError
from vision_assets.pipelines import Pipeline, configured_pipelines, steps_of
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.settings_check import find_faults
from vision_assets.steps.spec import StepSpec


def make_definitions(pipelines: Sequence[Pipeline], collection: Collection) -> dg.Definitions:
    """Make what Dagster loads of some pipelines for a collection.

    Parameters
    ----------
    pipelines : sequence of Pipeline
    collection : Collection

    Returns
    -------
    Definitions
        Assets, checks, jobs, schedules, sensors, resources.

    Raises
    ------
    UserError
        If the project file of the collection has a fault.
    """
    if faults := find_faults(collection.settings, collection.source):
        raise UserError("\n".join(f"{collection.file}: {fault}" for fault in faults))
    specs = [SPECS[step.asset] for step in steps_of(pipelines)]
    checks = [invariant_checks(spec, collection) for spec in specs]
    if collection.file:
        checks += [settings_check(spec, collection) for spec in specs if spec.options]
    jobs = [make_job(pipeline, collection) for pipeline in pipelines]
    return dg.Definitions.merge(
        *(_of_step(spec, collection) for spec in specs),
        dg.Definitions(
            asset_checks=checks,
            jobs=jobs,
            schedules=[make_schedule(job) for job in jobs],
            sensors=[make_source_sensor(collection), follow_upstream_sensor],
            resources=make_resources(collection.data),
            executor=make_executor(collection),
            loggers={"console": console_logger},
        ),
    )


def _of_step(spec: StepSpec, collection: Collection) -> dg.Definitions:
    # As in `vision_assets.steps.catalog`: the kind of a step is the name of its module.
    module = import_module(f"vision_assets.defs.assets.{spec.step.kind}")
    made: dg.Definitions = module.make_definitions(spec, collection)
    return made


use_short_lines()

defs = make_definitions(configured_pipelines(), open_collection())


def __getattr__(name: str) -> dg.Definitions:
    """Return the definitions of a collection with a name."""
    if not has_collection(name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return make_definitions(configured_pipelines(), open_collection(name))
