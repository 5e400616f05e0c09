"""Faults in settings are found before anything runs, one sentence for each."""

from pathlib import Path
from typing import Any

import pytest

from vision_assets.steps.catalog import SPECS
from vision_assets.steps.settings_check import find_faults, find_missing, option_names


@pytest.mark.parametrize(
    ("asset", "option", "value", "expected"),
    [
        ("kmeans_dictionary", "k", 0, "kmeans_dictionary.k must be at least 1, but is 0."),
        ("kmeans_dictionary", "k", "many", "kmeans_dictionary.k must be a whole number, but is 'many'."),
        ("kmeans_dictionary", "kk", 5, "kmeans_dictionary has no setting kk (did you mean k?). It has k, "),
        ("bow_encodings", "pooling", "mean", "bow_encodings.pooling must be one of "),
        ("image_classifier", "splits", True, "image_classifier.splits must be a whole number, but is True."),
        (
            "image_classifier",
            "exclude_labels",
            "a",
            "image_classifier.exclude_labels must be a list of texts",
        ),
        ("kmeans_dictionry", "k", 5, "There is no asset kmeans_dictionry (did you mean kmeans_dictionary?)."),
        ("surf_kmeans_dictionary", "k", 0, "surf_kmeans_dictionary.k must be at least 1, but is 0."),
    ],
)
def test_each_fault_is_a_sentence(asset: str, option: str, value: Any, expected: str) -> None:
    (fault,) = find_faults({asset: {option: value}})
    assert fault.startswith(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"label_pattern": "([a-z"}, "`label_pattern` '([a-z' cannot be used"),
        ({"label_pattern": "([a-z]+)_"}, "`label_pattern` '([a-z]+)_' "),
        ({"labels": "a.csv", "label_level": 2}, "labels and label_level are set together"),
    ],
)
def test_labels_that_no_run_could_find_are_a_fault(options: dict[str, Any], expected: str) -> None:
    (fault,) = find_faults({"image_labels": options})
    assert fault.startswith(f"image_labels: {expected}")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    missing = {"image_labels": {"labels": str(tmp_path / "none.csv")}}
    assert find_missing(missing, str(tmp_path)) == [
        f"image_labels.labels: {tmp_path}/none.csv does not exist."
    ]
    gone = {"image_seqfile": {"source": f"file://{tmp_path}/gone"}}
    assert find_missing(gone, str(tmp_path)) == [f"source: {tmp_path}/gone does not exist."]
    assert find_missing({"image_labels": {"labels": "hdfs://far/a.csv"}}, "s3a://bucket/a") == []


def test_all_faults_are_found_at_once() -> None:
    faults = find_faults({"kmeans_dictionary": {"k": 0, "max_iter": -1}, "bow_encodings": {"pool": "sum"}})
    assert len(faults) == 3


def test_defaults_and_values_from_the_environment_are_no_fault() -> None:
    assert find_faults({asset: {} for asset in SPECS}) == []
    assert find_faults({"image_seqfile": {"source": {"env": "PICTURES"}}}) == []
    for asset, spec in SPECS.items():
        defaults = {name: getattr(kind(), name, None) for kind in spec.options for name in vars(kind())}
        assert set(defaults) == set(option_names(asset))
        assert find_faults({asset: defaults}) == []


def test_a_split_by_folders_needs_the_folders(tmp_path: Path) -> None:
    wanted = {"image_classifier": {"split": "folder"}}
    (fault,) = find_faults(wanted, str(tmp_path))
    assert f"{tmp_path} has no folder train and no folder test." in fault
    (tmp_path / "train").mkdir()
    (fault,) = find_faults({**wanted, "image_seqfile": {"source": f"file://{tmp_path}"}})
    assert "has no folder test." in fault
    (tmp_path / "test").mkdir()
    assert find_faults(wanted, str(tmp_path)) == []
    assert find_faults({"image_classifier": {"split": "random"}}, str(tmp_path / "test")) == []
    later: dict[str, Any] = {"image_seqfile": {"source": {"env": "PICTURES"}}}
    assert find_faults({**wanted, **later}, str(tmp_path / "test")) == [], "known when the run starts"
    assert find_faults(wanted, "hdfs://far/away") == [], "only a folder of this machine is looked at"
