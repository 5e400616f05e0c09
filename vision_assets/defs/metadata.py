"""What Dagster's UI shows of a stored table: the most telling entries first, figures rounded."""

import math
from collections.abc import Mapping
from typing import Any

import dagster as dg

from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.spec import StepSpec

PICTURE = "picture_"
"""Begins the names of entries that are pictures."""

_DECIMALS = {"seconds": 2, "size_mb": 3}
_USUAL_DECIMALS = 4  # of accuracies and other shares
_SIGNIFICANT_DIGITS = {"inertia": 9, "inertia_per_descriptor": 6}


def materialization_metadata(
    spec: StepSpec, snapshot: Snapshot, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metadata of a stored table, in the order in which Dagster's UI shows it.

    What the asset declares as its headline is followed by pictures, the table's counts and other details;
    the last entries tell how and where the table is stored.

    Parameters
    ----------
    spec : StepSpec
    snapshot : Snapshot
        Its counts are not changed by rounding.
    details : mapping
        Name to figures, texts and pictures that the counts do not have.
    """
    figures = {"dagster/row_count": snapshot.rows, **snapshot.counts, **details}
    first = [name for name in spec.headline if name in figures]
    pictures = [name for name in figures if name.startswith(PICTURE)]
    names = dict.fromkeys([*first, *pictures, *figures])
    return rounded({name: figures[name] for name in names} | _storage(snapshot))


def rounded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Round fractional figures, also in tables, to the digits that mean something.

    Examples
    --------
    >>> rounded({"accuracy": 0.97512345, "seconds": 17.3124, "images": 240, "inertia": 6131234567.0})
    {'accuracy': 0.9751, 'seconds': 17.31, 'images': 240, 'inertia': 6131234570.0}
    """
    return {name: _rounded(name, value) for name, value in metadata.items()}


def _rounded(name: str, value: Any) -> Any:
    if isinstance(value, dg.TableMetadataValue):
        records = [dg.TableRecord(rounded(record.data)) for record in value.records]
        return dg.MetadataValue.table(records, value.schema)
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    if digits := _SIGNIFICANT_DIGITS.get(name):
        return float(f"{value:.{digits}g}")
    return round(float(value), _DECIMALS.get(name, _USUAL_DECIMALS))


def _storage(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "seconds": snapshot.seconds,
        "size_mb": snapshot.bytes / 1e6,
        "files": snapshot.files,
        "config": dg.MetadataValue.json(snapshot.config),
        "snapshot": snapshot.name,
        **{f"made_from_{asset}": name for asset, name in snapshot.inputs.items()},
        "code_version": snapshot.code_version,
        "dagster/uri": snapshot.uri,
    }
