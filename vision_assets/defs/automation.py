"""Automation: an asset is updated once an upstream table has changed since it was made."""

import json
import warnings

import dagster as dg

from vision_assets.pipelines import DEFAULT_EXTRACTOR, Pipeline

_DATA_VERSION = "dagster/data_version"
_INPUT_DATA_VERSION = "dagster/input_data_version/"

Versions = dict[str, str | None]


class OutOfDate(dg.AutomationCondition[dg.AssetKey]):
    """True if an upstream's data version has changed since the asset was made, or it was never made."""

    @property
    def name(self) -> str:
        """The label in Dagster's UI."""
        return "an upstream table has changed since"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare the current data versions with those that were read."""
        tags = _tags(context, context.key)
        read = {key: tags.get(_INPUT_DATA_VERSION + key) for key in _upstream(context)}
        return _result(context, bool(read) and read != _versions(context))


class NotTriedYet(dg.AutomationCondition[dg.AssetKey]):
    """True until the asset is requested with the current data versions of its upstream assets.

    An asset that fails, or has nothing to make, is therefore not requested repeatedly.
    """

    @property
    def name(self) -> str:
        """The label in Dagster's UI."""
        return "not requested since they changed"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare the current data versions with those at the last request."""
        versions = _versions(context)
        seen, tried = json.loads(context.cursor) if context.cursor else (None, None)
        requested = context.get_previous_requested_subset(context.key)
        if requested is not None and not requested.is_empty:
            tried = seen
        return _result(context, versions != tried, json.dumps([versions, tried]))


def _versions(context: dg.AutomationContext[dg.AssetKey]) -> Versions:
    keys = context.asset_graph.get(context.key).parent_keys
    return {key.to_user_string(): _tags(context, key).get(_DATA_VERSION) for key in sorted(keys)}


def _upstream(context: dg.AutomationContext[dg.AssetKey]) -> list[str]:
    return [key.to_user_string() for key in context.asset_graph.get(context.key).parent_keys]


def _tags(context: dg.AutomationContext[dg.AssetKey], key: dg.AssetKey) -> dict[str, str]:
    event = context.asset_graph_view.instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return dict(made.tags or {}) if made else {}


def _result(
    context: dg.AutomationContext[dg.AssetKey], holds: bool, cursor: str | None = None
) -> dg.AutomationResult[dg.AssetKey]:
    subset = context.candidate_subset if holds else context.get_empty_subset()
    return dg.AutomationResult(context, subset, cursor=cursor)


_OUT_OF_DATE = OutOfDate()


def follow_upstream(pipeline: Pipeline) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition under which an asset of a pipeline is updated.

    A new table with the same content triggers nothing. Assets of other extractors than the default one are
    updated only after they were materialized once.
    """
    condition = (
        _OUT_OF_DATE
        & NotTriedYet()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_match(_OUT_OF_DATE).with_label("an upstream table is out of date")
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
        & dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
    if pipeline.name != DEFAULT_EXTRACTOR:
        condition &= ~dg.AutomationCondition.missing()
    return condition.with_label("follow_upstream")


with warnings.catch_warnings():
    # Custom conditions can only be evaluated where the code is, which is a beta feature.
    warnings.simplefilter("ignore", dg.BetaWarning)
    follow_upstream_sensor = dg.AutomationConditionSensorDefinition(
        "follow_upstream",
        target=dg.AssetSelection.all(),
        description="Updates each table when the content of a table that it is made from has changed, step "
        "by step from labels and features to the report, with the settings of the project file. A table "
        "whose run has failed is requested again when something upstream changes, or by hand.",
        use_user_code_server=True,
    )
