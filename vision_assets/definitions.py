"""The code location: everything that Dagster loads."""

from importlib import import_module

import dagster as dg

from vision_assets.defs.automation import follow_upstream_sensor
from vision_assets.defs.checks import invariant_checks
from vision_assets.defs.console import console_logger, use_short_lines
from vision_assets.defs.executor import interruptible_executor
from vision_assets.defs.jobs import jobs
from vision_assets.defs.resources import make_resources
from vision_assets.defs.sensors import source_sensor
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.spec import StepSpec


def _of_step(spec: StepSpec) -> dg.Definitions:
    # As in `vision_assets.steps.catalog`: the kind of a step is the name of its module.
    made: dg.Definitions = import_module(f"vision_assets.defs.assets.{spec.step.kind}").make_definitions(spec)
    return made


use_short_lines()

defs = dg.Definitions.merge(
    *map(_of_step, SPECS.values()),
    dg.Definitions(
        asset_checks=[invariant_checks(spec) for spec in SPECS.values()],
        jobs=list(jobs.values()),
        sensors=[source_sensor, follow_upstream_sensor],
        resources=make_resources(),
        executor=interruptible_executor,
        loggers={"console": console_logger},
    ),
)
