"""Whether a stored table is kept: it is not made again while its settings and inputs are unchanged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vision_assets.snapshots.store import Snapshot
from vision_assets.snapshots.versions import version_of
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.stored_tables import StoredTable

RequireFit = Callable[[StoredTable, Mapping[str, StoredTable]], None]
"""Raises a `UserError` if a stored table cannot be used with the inputs of this run; asset to its table."""

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


@dataclass(frozen=True)
class KeptTable:
    """A stored table that is not made again.

    Parameters
    ----------
    table : StoredTable
    reason : str
        Why, and what makes it again: a sentence for the log.
    """

    table: StoredTable
    reason: str


def fingerprint_of(spec: StepSpec, config: Mapping[str, Any], inputs: Sequence[StoredTable]) -> str:
    """Return the fingerprint of everything that a table depends on.

    Parameters
    ----------
    spec : StepSpec
    config : mapping
        Configuration of the asset, without secrets.
    inputs : sequence of StoredTable
        What the asset reads. The versions of what these were made from are part of theirs.

    Returns
    -------
    str
        Equal for equal code, settings, libraries and content of the inputs, in every run.
    """
    libraries = {
        name: version
        for options in spec.options
        for name, version in options.from_config(config).versions().items()
    }
    settings = {"settings": spec.table_settings(config), "libraries": libraries}
    return version_of(spec.code_version, settings, {each.asset: each.snapshot.identity for each in inputs})


def kept_table(
    spec: StepSpec,
    config: Mapping[str, Any],
    inputs: Sequence[StoredTable],
    fingerprint: str,
    require_fit: RequireFit | None = None,
) -> KeptTable | None:
    """Return the current table of an asset if it need not be made again.

    Parameters
    ----------
    spec : StepSpec
    config : mapping
        Configuration of the asset, without secrets. ``full_refresh`` and ``retrain`` decide with the
        fingerprint.
    inputs : sequence of StoredTable
        What the asset reads; an asset that reads none is not kept.
    fingerprint : str
        From `fingerprint_of`.
    require_fit : callable, optional
        Called if ``retrain`` is ``never`` and settings or inputs have changed.

    Returns
    -------
    KeptTable or None
        None if there is no table, or if it has to be made.

    Raises
    ------
    UserError
        If ``retrain`` is ``never`` and the table is damaged or does not fit the inputs.
    """
    retrain = config.get("retrain")
    if not inputs or config.get("full_refresh") or retrain == "always":
        return None
    spark, store = inputs[0].spark, inputs[0].store
    current = store.current((spec.asset,))
    if current is None:
        return None
    table = StoredTable(spark, store, current)
    is_unchanged = current.fingerprint == fingerprint
    if retrain == "never":
        table.require_complete()
        if require_fit and not is_unchanged:
            require_fit(table, {each.asset: each for each in inputs})
    elif not is_unchanged or store.damage(current):
        return None
    reason = reason_unchanged(current) if is_unchanged else _reason_never(spec, table, config, inputs)
    return KeptTable(table, reason)


def reason_unchanged(snapshot: Snapshot) -> str:
    """Return the sentence for the log about a table that need not be made again."""
    return (
        f"{snapshot.asset} is up to date: settings and inputs are unchanged since {_date(snapshot)}; "
        "`full_refresh: true` makes it again."
    )


def _reason_never(
    spec: StepSpec, table: StoredTable, config: Mapping[str, Any], inputs: Sequence[StoredTable]
) -> str:
    snapshot = table.snapshot
    other = settings_that_differ(snapshot.config, spec.table_settings(config))
    made_from = {each.asset: table.store.input_of(snapshot, each.snapshot.asset_path) for each in inputs}
    changed = [
        each.asset
        for each in inputs
        if not (before := made_from[each.asset]) or before.identity != each.snapshot.identity
    ]
    differences = [
        *([f"from other {', '.join(changed)}"] if changed else []),
        *([f"with {', '.join(other)}"] if other else []),
    ]
    return (
        f"{snapshot.asset} is kept (`retrain: never`). It was made {_age(snapshot)} ago, on {_date(snapshot)}"
        f"{', ' if differences else ''}{', '.join(differences)}. `full_refresh: true` makes it again."
    )


def settings_that_differ(used: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return a phrase for each setting that a table was made with another value of: ``k = 50, not 60``."""
    return [
        f"{name} = {used[name]!r}, not {value!r}"
        for name, value in wanted.items()
        if name in used and used[name] != value
    ]


def _committed(snapshot: Snapshot) -> datetime:
    return datetime.fromisoformat(snapshot.committed_at).astimezone(UTC)


def _date(snapshot: Snapshot) -> str:
    return f"{_committed(snapshot):%Y-%m-%d %H:%M} UTC"


def _age(snapshot: Snapshot) -> str:
    """Return how long ago a snapshot was made, in the largest unit of which there is at least one."""
    seconds = max(0.0, (datetime.now(UTC) - _committed(snapshot)).total_seconds())
    for unit, length in _UNITS:
        if number := int(seconds // length):
            return f"{number:,} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"
