"""Results of reports, from manifests alone."""

import json
import os
import statistics
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from vision_assets.pipelines import STEPS, bag_of_words_pipeline
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.steps import comparison
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.comparison import Result, differing_settings, earlier_report, find_results, rank
from vision_assets.vision.classification.linear import TrainingOptions
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.vocabulary.kmeans import KMeansOptions
from vision_assets_tests.reports import COUNTS, REPORT, make, make_report, prune_all


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time would go there; what a loss of power leaves is tested with the store."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(LocalFiles(tmp_path))


def results(store: SnapshotStore) -> list[Result]:
    return find_results([("", store)])


def result(store: SnapshotStore) -> Result:
    (found,) = results(store)
    return found


def accuracy(value: float) -> dict[str, float]:
    return {"mean_per_class_accuracy": value}


def test_the_figures_are_those_of_the_manifests(store: SnapshotStore) -> None:
    counts = {
        "classes": 3,
        "splits": 2,
        "test_images": 70,
        "accuracy": 0.75,
        "mean_per_class_accuracy": 0.7,
        "std_of_mean_per_class_accuracy": statistics.stdev([0.65, 0.75]),
    }
    report = make_report(store, counts=counts, seconds=(12.25, 30.5), run_id="run-of-today")
    found = find_results([("flowers", store)])[0]
    assert (found.collection, found.extractor, found.report) == ("flowers", "sift", REPORT)
    assert (found.snapshot, found.run_id, found.committed_at) == (
        report.name,
        "run-of-today",
        report.committed_at,
    )
    assert {name: getattr(found, name) for name in counts} == counts
    assert found.images == 240
    assert (found.dictionary_seconds, found.classifier_seconds, found.training_seconds) == (
        12.25,
        30.5,
        42.75,
    )
    assert found.unknown_settings == ()


def test_settings_are_those_of_all_that_the_report_was_made_from(store: SnapshotStore) -> None:
    make_report(
        store,
        image_seqfile={"source": "/pictures", "reader": "driver"},
        features={"max_side": 800, "partitions": 7},
        kmeans_dictionary={"k": 200},
        bow_encodings={"pooling": "count", "full_refresh": True},
        image_classifier={"exclude_labels": ["a", "b"], "no_longer_an_option": 1},
    )
    found = result(store).settings
    expected = {
        "image_seqfile.source": "/pictures",
        "features.max_side": 800,
        "features.sigma": 1.6,
        "kmeans_dictionary.k": 200,
        "kmeans_dictionary.seed": 0,
        "bow_encodings.pooling": "count",
        "image_classifier.exclude_labels": ["a", "b"],
        "image_classifier.feature_map": "hellinger",
        "image_classifier.no_longer_an_option": 1,
    }
    assert {name: found[name] for name in expected} == expected
    assets = list(dict.fromkeys(name.partition(".")[0] for name in found))
    assert assets == [
        *("image_seqfile", "image_labels", "features", "kmeans_dictionary", "bow_encodings"),
        *("image_classifier", "classification_report"),
    ]


def test_options_that_concern_a_run_alone_are_no_settings(store: SnapshotStore) -> None:
    make_report(store)
    of_run = {"full_refresh", "retrain", "replace_source", "partitions", "reader"}
    found = {name.partition(".")[2] for name in result(store).settings}
    assert not found & of_run
    assert found | of_run == {
        each.name
        for asset in (*bag_of_words_pipeline(EXTRACTORS["sift"]).assets, "image_seqfile", "image_labels")
        for options in SPECS[asset].options
        for each in fields(options)
    }


def test_a_missing_setting_equals_its_default(store: SnapshotStore) -> None:
    make_report(store)
    make_report(
        store,
        kmeans_dictionary={each.name: each.default for each in fields(KMeansOptions)},
        bow_encodings={each.name: each.default for each in fields(BagOfWords)},
        image_classifier={each.name: each.default for each in fields(TrainingOptions)},
    )
    found = results(store)
    assert found[0].settings == found[1].settings
    assert differing_settings(found) == []


def test_only_settings_that_differ_are_named(store: SnapshotStore) -> None:
    for k, pooling in ((100, "sum"), (200, "sum"), (200, "count")):
        make_report(store, kmeans_dictionary={"k": k, "tol": 0.1}, bow_encodings={"pooling": pooling})
    assert differing_settings(results(store)) == ["kmeans_dictionary.k", "bow_encodings.pooling"]


def test_extractors_are_compared_by_the_settings_that_they_share(store: SnapshotStore) -> None:
    make_report(store, "sift", kmeans_dictionary={"k": 100}, features={"sigma": 1.5})
    make_report(store, "kaze", kmeans_dictionary={"k": 200}, features={"upright": True})
    found = results(store)
    assert [each.extractor for each in found] == ["sift", "kaze"]
    assert [each.report for each in found] == [REPORT, f"kaze_{REPORT}"]
    assert [each.settings["kmeans_dictionary.k"] for each in found] == [100, 200]
    assert "features.sigma" not in found[1].settings
    assert differing_settings(found) == ["kmeans_dictionary.k"], "others have their own defaults"
    make_report(store, "kaze", features={"n_octave_layers": 5})
    found = results(store)
    assert found[0].settings["features.n_octave_layers"] == 3
    assert differing_settings(found) == [
        "features.n_octave_layers",
        "features.upright",
        "kmeans_dictionary.k",
    ]


def test_every_extractor_is_listed(store: SnapshotStore) -> None:
    for name in EXTRACTORS:
        make_report(store, name)
    assert [each.extractor for each in results(store)] == list(EXTRACTORS)
    assert len({each.protocol for each in rank(results(store))}) == 1


def test_the_best_comes_first_and_is_marked(store: SnapshotStore) -> None:
    for value in (0.7, 0.9, 0.8):
        make_report(store, counts=accuracy(value))
    ranked = rank(results(store))
    assert [each.result.mean_per_class_accuracy for each in ranked] == [0.9, 0.8, 0.7]
    assert [each.is_best for each in ranked] == [True, False, False]
    assert {each.protocol for each in ranked} == {1}


def test_equals_are_both_the_best_and_the_newest_comes_first(store: SnapshotStore) -> None:
    names = [make_report(store, counts=accuracy(0.9)).name for _ in range(2)]
    early, late = sorted(results(store), key=lambda each: names.index(each.snapshot))
    object.__setattr__(early, "committed_at", "2026-01-01T00:00:00+00:00")
    for given in ([early, late], [late, early]):
        ranked = rank(given)
        assert [each.result.snapshot for each in ranked] == names[::-1]
        assert [each.is_best for each in ranked] == [True, True]


OTHER_PROTOCOLS: list[dict[str, Any]] = [
    {"images": "241:7"},
    {"labels": "33:9"},
    {"image_classifier": {"train_per_class": 15}},
    {"image_classifier": {"test_per_class": None}},
    {"image_classifier": {"seed": 1}},
    {"image_classifier": {"splits": 5}},
    {"image_classifier": {"split": "folder"}},
    {"image_classifier": {"exclude_labels": ["clutter"]}},
]


@pytest.mark.parametrize("other", OTHER_PROTOCOLS, ids=str)
def test_reports_of_other_protocols_are_ranked_apart(store: SnapshotStore, other: dict[str, Any]) -> None:
    for value in (0.5, 0.6):
        make_report(store, counts=accuracy(value))
    for value in (0.9, 0.4):
        make_report(store, counts=accuracy(value), **other)
    ranked = rank(results(store))
    assert [each.result.mean_per_class_accuracy for each in ranked] == [0.9, 0.4, 0.6, 0.5]
    assert [each.protocol for each in ranked] == [1, 1, 2, 2]
    assert [each.is_best for each in ranked] == [True, False, True, False]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"feature_map": "chi2", "reg_param": 0.1, "max_iter": 7}),
        ({"exclude_labels": ["a", "b"]}, {"exclude_labels": ["b", "a"]}),
        ({"split": "folder"}, {"split": "folder", "seed": 3, "splits": 9, "train_per_class": 1}),
    ],
)
def test_settings_that_do_not_change_the_test_do_not_change_the_protocol(
    store: SnapshotStore, one: dict[str, Any], other: dict[str, Any]
) -> None:
    for config in (one, other):
        make_report(store, image_classifier=config, kmeans_dictionary={"k": len(config) + 1})
    assert {each.protocol for each in rank(results(store))} == {1}


def test_collections_with_the_same_images_are_comparable_and_others_are_not(tmp_path: Path) -> None:
    stores = {name: SnapshotStore(LocalFiles(tmp_path / name)) for name in ("one", "same", "other")}
    for name, store in stores.items():
        make_report(store, images="9:9" if name == "other" else "240:1")
    ranked = rank(find_results(stores.items()))
    protocols = {each.result.collection: each.protocol for each in ranked}
    assert protocols["one"] == protocols["same"] != protocols["other"]


def test_other_labels_of_the_same_images_are_told_apart(store: SnapshotStore) -> None:
    """Unless they follow from the images' names."""
    for labels, version in (("", "1"), ("", "2"), ("labels.csv", "3"), ("labels.csv", "4")):
        make_report(store, image_labels={"labels": labels}, labels_version=version)
    assert len({each.image_set for each in results(store)}) == 3


def test_images_without_a_fingerprint_are_told_apart_by_their_snapshot(store: SnapshotStore) -> None:
    """Manifests of the first releases have none."""
    make_report(store, images="")
    make_report(store, images="")
    assert [each.protocol for each in rank(results(store))] == [1, 2]


def test_results_stay_when_their_tables_are_pruned(store: SnapshotStore) -> None:
    for k in (100, 200, 300, 400):
        make_report(store, kmeans_dictionary={"k": k}, counts=accuracy(k / 1000))
    before = results(store)
    prune_all(store)
    assert {asset: len(store.snapshots(asset)) for asset in store.assets()} == dict.fromkeys(
        store.assets(), 1
    )
    assert results(store) == before
    assert [each.settings["kmeans_dictionary.k"] for each in before] == [100, 200, 300, 400]


def remove_manifests(store: SnapshotStore, asset: str) -> None:
    """Remove all that is known of an asset, as earlier releases did when they pruned."""
    store._files.delete(f"{asset}/_snapshots")
    store._files.delete(f"{asset}/_history")


def test_settings_of_what_earlier_releases_removed_are_unknown(
    store: SnapshotStore,
) -> None:
    make_report(store, kmeans_dictionary={"k": 100}, bow_encodings={"pooling": "max"})
    remove_manifests(store, "bow_encodings")
    found = result(store)
    expected = [f"kmeans_dictionary.{each.name}" for each in fields(KMeansOptions)]
    expected += [f"bow_encodings.{each.name}" for each in fields(BagOfWords)]
    assert list(found.unknown_settings) == expected, "the encodings named their dictionary"
    assert not set(expected) & found.settings.keys()
    assert (found.dictionary_seconds, found.classifier_seconds, found.training_seconds) == (None, 4.0, None)
    assert found.protocol
    assert rank([found])[0].is_best


def test_without_the_classifier_nothing_is_comparable(store: SnapshotStore) -> None:
    make_report(store, counts=accuracy(0.9))
    remove_manifests(store, "image_classifier")
    make_report(store, counts=accuracy(0.3))
    ranked = rank(results(store))
    assert [each.result.mean_per_class_accuracy for each in ranked] == [0.3, 0.9]
    assert [(each.protocol, each.is_best) for each in ranked] == [(1, True), (None, False)]
    assert ranked[1].result.classifier_seconds is None


def test_images_that_are_gone_are_still_told_apart(store: SnapshotStore) -> None:
    make_report(store)
    make_report(store)
    remove_manifests(store, "image_seqfile")
    ranked = rank(results(store))
    assert [each.result.images for each in ranked] == [None, None]
    assert [each.protocol for each in ranked] == [1, 2]


def test_inputs_are_followed_through_whatever_stands_between(
    store: SnapshotStore,
) -> None:
    """A report that does not read the classifier itself, but what another asset has made of it."""
    images = make(store, "image_seqfile", rows=9, images="9:1")
    words = make(store, "kmeans_dictionary", images, config={"k": 7}, seconds=2.0)
    model = make(store, "image_classifier", words, config={"seed": 3}, seconds=5.0)
    predictions = make(store, "image_predictions", model, config={"folds": 4})
    make(store, REPORT, predictions, counts=COUNTS, keys="30:1")
    found = result(store)
    assert found.images == 9
    assert found.training_seconds == 7.0
    assert found.settings["kmeans_dictionary.k"] == 7
    assert found.settings["image_predictions.folds"] == 4
    assert found.protocol
    assert json.loads(found.protocol.split)["seed"] == 3


def test_the_last_report_of_the_same_protocol_is_found(store: SnapshotStore) -> None:
    make_report(store, counts=accuracy(0.1))
    expected = make_report(store, counts=accuracy(0.2), images="other images")
    make_report(store, image_classifier={"seed": 1})
    make_report(store, labels="one class more")
    report = make_report(store, kmeans_dictionary={"k": 5})
    found = earlier_report(store.history(), report)
    assert found
    assert found.name == expected.name
    prune_all(store)
    found = earlier_report(store.history(), report)
    assert found
    assert (found.name, found.counts) == (expected.name, expected.counts)


def test_the_first_report_of_a_protocol_has_no_earlier_one(store: SnapshotStore) -> None:
    first = make_report(store)
    assert earlier_report(store.history(), first) is None
    make_report(store, "kaze")
    other = make_report(store, image_classifier={"splits": 1}, labels="10:2")
    assert earlier_report(store.history(), other) is None
    remove_manifests(store, "image_classifier")
    later = make_report(store)
    assert earlier_report(store.history(), later) is None, "the protocol of the first is unknown by now"


def test_nothing_is_read_but_manifests(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make_report(store)
    read = LocalFiles.read

    def manifests_only(files: LocalFiles, path: str) -> bytes:
        assert path.endswith(".json")
        opened.append(path)
        return read(files, path)

    opened: list[str] = []
    monkeypatch.setattr(LocalFiles, "read", manifests_only)
    assert results(store)
    assert len(opened) == len(set(opened)) == len(store.assets()), "each once"


def test_the_steps_that_are_compared_exist() -> None:
    """Kinds are names of modules, so a new name would find nothing."""
    assert {"report", "dictionary", "classifier"} <= {step.kind for step in STEPS.values()}
    assert comparison.IMAGE_ASSET in STEPS
