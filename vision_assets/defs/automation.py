"""When an asset is made anew by itself: once an upstream table has changed since it was made."""

import json
import warnings

import dagster as dg

from vision_assets.pipelines import DEFAULT_EXTRACTOR, Pipeline

_DATA_VERSION = "dagster/data_version"
_INPUT_DATA_VERSION = "dagster/input_data_version/"

Versions = dict[str, str | None]


class OutOfDate(dg.AutomationCondition[dg.AssetKey]):
    """True if an upstream's data version is another than when the asset was made, or it never was."""

    @property
    def name(self) -> str:
        """What the page shows."""
        return "an upstream table has changed since"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare what is there with what was read."""
        tags = _tags(context, context.key)
        read = {key: tags.get(_INPUT_DATA_VERSION + key) for key in _upstream(context)}
        return _result(context, bool(read) and read != _versions(context))


class NotTriedYet(dg.AutomationCondition[dg.AssetKey]):
    """True until the asset is requested with the upstream's data versions as they are.

    So one that fails, or has nothing to make, is not requested over and over.
    """

    @property
    def name(self) -> str:
        """What the page shows."""
        return "not requested since they changed"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Compare what is there with what was there at the last request."""
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
    """Return when an asset of a chain is made anew.

    A table that was made anew with the same content is followed by nothing. Of other extractors than the
    plain one nothing is made that nobody has asked for once.
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
    # Conditions of one's own can be evaluated only where the code is, which is beta.
    warnings.simplefilter("ignore", dg.BetaWarning)
    follow_upstream_sensor = dg.AutomationConditionSensorDefinition(
        "follow_upstream",
        target=dg.AssetSelection.all(),
        description="Makes each table anew once one that it is made from has other content, step by step "
        "from the features to the report, with the default configuration. A table whose run has "
        "failed is requested again when something upstream changes, or by hand.",
        use_user_code_server=True,
    )
