"""The code locations: everything that Dagster loads.

`defs` is the collection without a name. An attribute with the name of another collection has its definitions:
``dagster job execute -m vision_assets.definitions -a flowers -j bovw_pipeline``.
"""

from importlib import import_module

import dagster as dg

from vision_assets.collection import Collection, collection_names, open_collection
from vision_assets.defs.automation import follow_upstream_sensor
from vision_assets.defs.checks import invariant_checks
from vision_assets.defs.executor import make_executor
from vision_assets.defs.jobs import make_jobs
from vision_assets.defs.resources import make_resources
from vision_assets.defs.sensors import make_source_sensor
from vision_assets.defs.settings_checks import settings_check
from vision_assets.errors import UserError
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.settings_check import find_faults
from vision_assets.steps.spec import StepSpec


def build_definitions(collection: Collection) -> dg.Definitions:
    """Build the definitions of a collection.

    Raises
    ------
    UserError
        If its project file has a fault.
    """
    if faults := find_faults(collection.settings, collection.source):
        raise UserError(f"{collection.file}: {' '.join(faults)}")
    checks = [invariant_checks(spec, collection) for spec in SPECS.values()]
    if collection.file:
        checks += [settings_check(spec, collection) for spec in SPECS.values() if spec.options]
    return dg.Definitions.merge(
        *(_of_step(spec, collection) for spec in SPECS.values()),
        dg.Definitions(
            asset_checks=checks,
            jobs=list(make_jobs(collection).values()),
            sensors=[make_source_sensor(collection), follow_upstream_sensor],
            resources=make_resources(collection.data),
            executor=make_executor(collection),
        ),
    )


def _of_step(spec: StepSpec, collection: Collection) -> dg.Definitions:
    # As in `vision_assets.steps.catalog`: the kind of a step is the name of its module.
    module = import_module(f"vision_assets.defs.assets.{spec.step.kind}")
    made: dg.Definitions = module.make_definitions(spec, collection)
    return made


defs = build_definitions(open_collection())


def __getattr__(name: str) -> dg.Definitions:
    """Return the definitions of a collection with a name."""
    if name not in collection_names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return build_definitions(open_collection(name))
