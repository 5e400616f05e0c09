"""Assets that are up to date are not made again; a run that has nothing to do changes nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from vision_assets.vision.classification.linear import CLASSIFIER_FILE
from vision_assets_tests.pipeline import ALL_ASSETS, CLASSIFICATION, Runner, require_same_tables

LEAST: dict[str, Any] = {"image_classifier": {"splits": 1, "max_iter": 2}}
PER_IMAGE = {"image_seqfile": "read", "sift_features": "extracted", "bow_encodings": "encoded"}


class Complete(NamedTuple):
    """All assets, the last two with their pictures in the history of an instance."""

    pipeline: Runner
    instance: dg.DagsterInstance


@pytest.fixture(scope="module")
def complete(filled: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Complete]:
    """Only for tests that add nothing to it."""
    pipeline = Runner(shutil.copytree(filled.data, tmp_path_factory.mktemp("complete") / "data"))
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline.run(None, *CLASSIFICATION[1:], instance=instance, pictures=True, **LEAST)
        yield Complete(pipeline, instance)


@pytest.fixture
def complete_copy(complete: Complete, tmp_path: Path) -> Runner:
    return Runner(shutil.copytree(complete.pipeline.data, tmp_path / "data"))


def files(pipeline: Runner) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in pipeline.data.rglob("*") if path.is_file()}


def test_a_second_run_makes_nothing(
    complete: Complete, image_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline, before = complete.pipeline, files(complete.pipeline)
    result = pipeline.run(image_folder, *ALL_ASSETS, instance=complete.instance, **LEAST)
    assert files(pipeline) == before
    log = capfd.readouterr().err
    for asset in ALL_ASSETS:
        snapshot = pipeline.current(asset)
        assert log.count(f"{asset} is up to date: settings and inputs are unchanged since 20") == 1
        (event,) = result.asset_materializations_for_node(asset)
        assert event.tags
        assert event.tags["dagster/data_version"] == snapshot.version
        metadata = pipeline.metadata(result, asset)
        assert (metadata["snapshot"], metadata["dagster/row_count"]) == (snapshot.name, snapshot.rows)
        if verb := PER_IMAGE.get(asset):
            assert (metadata["reused"], metadata[verb], metadata["dropped"]) == (12, 0, 0)
    evaluations = result.get_asset_check_evaluations()
    assert {evaluation.asset_key.to_user_string() for evaluation in evaluations} == set(ALL_ASSETS)
    blocking = [each for each in evaluations if each.severity == dg.AssetCheckSeverity.ERROR]
    assert all(evaluation.passed for evaluation in blocking)


def test_what_was_known_when_a_table_was_made_is_shown_as_long_as_it_is_kept(complete: Complete) -> None:
    shown = [
        complete.pipeline.metadata(
            complete.pipeline.run(None, *CLASSIFICATION[1:], instance=complete.instance, **LEAST),
            "classification_report",
        )
        for _ in range(2)
    ]
    assert shown[0] == shown[1]
    assert {"macro_f1", "picture_confusion_matrix"} <= shown[0].keys()


def test_a_full_refresh_makes_the_same_again(complete: Complete, complete_copy: Runner) -> None:
    """Those of the first four assets are in test_incremental.py."""
    assets = ("kmeans_dictionary", *CLASSIFICATION[1:])
    full: dict[str, Any] = {asset: {"full_refresh": True} | LEAST.get(asset, {}) for asset in assets}
    complete_copy.run(None, *assets, **full)
    require_same_tables(complete_copy, complete.pipeline, *assets)
    for asset in assets:
        before, after = complete.pipeline.current(asset), complete_copy.current(asset)
        assert after.sequence == before.sequence + 1
        assert after.version == before.version


def test_words_that_come_out_the_same_change_nothing_downstream(complete_copy: Runner) -> None:
    """The centres move on in all four iterations, so a smaller tolerance has no effect."""
    before = {asset: complete_copy.current(asset) for asset in ALL_ASSETS}
    config: dict[str, Any] = {"kmeans_dictionary": {"tol": 0.0}} | LEAST
    complete_copy.run(None, *ALL_ASSETS[2:], **config)
    words = complete_copy.current("kmeans_dictionary")
    assert words.name != before["kmeans_dictionary"].name
    assert words.version == before["kmeans_dictionary"].version
    for asset in ALL_ASSETS[3:]:
        assert complete_copy.current(asset) == before[asset]
    complete_copy.run(None, "kmeans_dictionary", keep=1)
    words_before = complete_copy.store.input_of(before["bow_encodings"], ("kmeans_dictionary",))
    assert words_before == before["kmeans_dictionary"], "what a kept table was made from is kept"


def test_a_classifier_is_trained_again_as_asked(
    complete_copy: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    def train(*assets: str, **config: Any) -> None:
        changed: dict[str, Any] = {"image_classifier": LEAST["image_classifier"] | config}
        complete_copy.run(None, *assets, **changed)

    first = complete_copy.current("image_classifier")
    report = complete_copy.current("classification_report")
    capfd.readouterr()
    train(*CLASSIFICATION[1:], retrain="never", seed=5)
    assert complete_copy.current("image_classifier") == first
    assert complete_copy.current("classification_report") == report
    said = "image_classifier is kept (`retrain: never`). It was made "
    log = capfd.readouterr().err
    assert log.count(said) == 1
    assert "with seed = 0, not 5" in log
    train("image_classifier", retrain="always")
    second = complete_copy.current("image_classifier")
    assert second.name != first.name
    assert second.version == first.version
    stored = [complete_copy.store.read(each, CLASSIFIER_FILE) for each in (first, second)]
    assert stored[0] == stored[1]


def test_a_classifier_of_another_pooling_is_not_kept(complete_copy: Runner) -> None:
    first = complete_copy.current("image_classifier")
    complete_copy.run(None, "bow_encodings", bow_encodings={"pooling": "max"})
    config = {"retrain": "never"}
    error = complete_copy.error(
        complete_copy.run(None, "image_classifier", image_classifier=config, fail=True)
    )
    assert "its weights do not fit" in error
    assert "pooling = 'sum', not 'max'" in error
    assert complete_copy.current("image_classifier") == first


def test_a_damaged_dictionary_is_made_again(filled: Runner, filled_copy: Runner) -> None:
    (part,) = Path(filled_copy.current("kmeans_dictionary").uri).glob("part-*")
    part.unlink()
    filled_copy.run(None, "kmeans_dictionary")
    require_same_tables(filled_copy, filled, "kmeans_dictionary")
