"""The declarations of all assets."""

from collections.abc import Mapping
from importlib import import_module

from vision_assets.pipelines import STEPS, Step
from vision_assets.steps.spec import StepSpec


def _declare(step: Step) -> StepSpec:
    # The kind of a step is the name of its module, so that a new one is a new file and no new line here.
    spec: StepSpec = import_module(f"vision_assets.steps.{step.kind}").declare(step)
    return spec


SPECS: Mapping[str, StepSpec] = {asset: _declare(step) for asset, step in STEPS.items()}
"""Name of an asset to its declaration."""
