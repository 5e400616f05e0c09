from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vision_assets.defs.resources import make_resources
from vision_assets_tests.pipeline import Runner, defs


def run_checks(pipeline: Runner, asset: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks of an asset on their own, as the Execute button does."""
    result = dg.materialize(
        [*(defs.assets or []), *(defs.asset_checks or [])],  # type: ignore[list-item]
        selection=dg.AssetSelection.checks_for_assets(asset),
        resources=make_resources(str(pipeline.data)),
        raise_on_error=False,
    )
    assert result.get_asset_check_evaluations()
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def tamper(pipeline: Runner, asset: str, change: object) -> None:
    part = max(Path(pipeline.current(asset).uri).glob("*.parquet"), key=lambda path: path.stat().st_size)
    table = pq.read_table(part)
    changed = pa.Table.from_pandas(change(table.to_pandas()), schema=table.schema)  # type: ignore[operator]
    pq.write_table(changed, part)


@pytest.mark.parametrize("asset", ["image_seqfile", "sift_features", "kmeans_dictionary", "bow_encodings"])
def test_checks_run_on_their_own_and_pass(filled: Runner, asset: str) -> None:
    evaluations = run_checks(filled, asset)
    assert evaluations
    assert all(evaluation.passed for evaluation in evaluations.values())


def test_one_check_runs_alone(filled: Runner) -> None:
    """Dagster's Execute button is grey on checks that cannot."""
    key = dg.AssetCheckKey(dg.AssetKey("bow_encodings"), "one_length")
    result = dg.materialize(
        [*(defs.assets or []), *(defs.asset_checks or [])],  # type: ignore[list-item]
        selection=dg.AssetSelection.checks(key),
        resources=make_resources(str(filled.data)),
    )
    assert [evaluation.check_name for evaluation in result.get_asset_check_evaluations()] == ["one_length"]


@pytest.mark.parametrize(
    ("asset", "change", "broken"),
    [
        (
            "sift_features",
            lambda t: pd.concat([t, t.iloc[:1]]),
            {"unique_keys", "same_keys_as_upstream", "same_images_as_upstream"},
        ),
        ("sift_features", lambda t: t.iloc[1:], {"same_keys_as_upstream", "same_images_as_upstream"}),
        ("bow_encodings", lambda t: t.assign(digest=[bytes(32)] * len(t)), {"same_images_as_upstream"}),
        ("sift_features", lambda t: t.assign(keypointCount=t.keypointCount + 1), {"sizes_match"}),
        ("sift_features", lambda t: t.assign(error="late"), {"errors_have_no_descriptors"}),
        ("kmeans_dictionary", lambda t: t[t.wordId != 3], {"k_centers", "numbered_words"}),
        (
            "kmeans_dictionary",
            lambda t: t.assign(descriptorCount=t.wordId.astype("int64")),
            {"no_empty_word"},
        ),
        (
            "bow_encodings",
            lambda t: t.assign(bow=t.bow.map(lambda b: -b)),
            {"finite_and_non_negative"},
        ),
        (
            "bow_encodings",
            lambda t: t.assign(bow=t.bow.map(lambda b: b * float("inf"))),
            {"finite_and_non_negative"},
        ),
        ("bow_encodings", lambda t: t.assign(bow=[b[: i + 1] for i, b in enumerate(t.bow)]), {"one_length"}),
    ],
)
def test_checks_find_what_was_changed_behind_their_back(
    filled_copy: Runner, asset: str, change: object, broken: set[str]
) -> None:
    tamper(filled_copy, asset, change)
    evaluations = run_checks(filled_copy, asset)
    failed = {name for name, evaluation in evaluations.items() if not evaluation.passed}
    assert failed - {"readable_images"} == broken
    assert all(evaluations[name].severity == dg.AssetCheckSeverity.ERROR for name in broken)
