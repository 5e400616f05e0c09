"""Links from an asset's page to its source code and to its documentation."""

import warnings
from pathlib import Path
from types import FunctionType
from typing import Any

import dagster as dg

from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINES, Step

DOCS = "docs/pipeline.md"
"""The page that has a section on each step, relative to the repository."""

_PACKAGE = Path(__file__).parents[1]


def links(step: Step, function: FunctionType) -> dict[str, Any]:
    """Return the metadata of a definition that links it to its source code and its documentation.

    The links open files of this machine in an editor. An installed package has no documentation beside it;
    its page is then named and not linked.

    Parameters
    ----------
    step : Step
    function : function
        What materializes the asset.
    """
    files = [
        (f"steps/{step.kind}.py", _PACKAGE / "steps" / f"{step.kind}.py", 1),
        (f"assets/{step.kind}.py", Path(function.__code__.co_filename), function.__code__.co_firstlineno),
    ]
    page = _PACKAGE.parent / DOCS
    if page.exists():
        files.append((DOCS, page, _line_of_section(page, step)))
    with warnings.catch_warnings():
        # Code references are a beta feature of Dagster.
        warnings.simplefilter("ignore", dg.BetaWarning)
        references: Any = [
            dg.LocalFileCodeReference(file_path=str(file), line_number=line, label=label)
            for label, file, line in files
        ]
        return {
            "docs": dg.MetadataValue.path(DOCS),
            "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references),
        }


def _line_of_section(page: Path, step: Step) -> int:
    """Return the line of the section on an asset, or on that of the same kind in the default pipeline."""
    assets = [step.asset]
    assets += [other.asset for other in PIPELINES[DEFAULT_EXTRACTOR].steps if other.kind == step.kind]
    lines = page.read_text(encoding="utf-8").splitlines()
    sections = {
        line[3:].partition(":")[0]: number for number, line in enumerate(lines, 1) if line.startswith("## ")
    }
    return next((sections[asset] for asset in assets if asset in sections), 1)
