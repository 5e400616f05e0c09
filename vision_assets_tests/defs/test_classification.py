"""The classifier and its report on complete data folders."""

import io
import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score
from sklearn.metrics import precision_recall_fscore_support as class_scores
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVC

from vision_assets import prediction, settings
from vision_assets.cli import main
from vision_assets.errors import UserError
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.comparison import find_results
from vision_assets.steps.splits import SplitOptions, labelled_images, split_images, usable_images
from vision_assets.vision.data.samples import write_sample_images
from vision_assets.vision.encoding.kernel_maps import apply_feature_map
from vision_assets_tests.pipeline import ALL_ASSETS, CLASSIFICATION, UP_TO_ENCODINGS, Runner
from vision_assets_tests.vision import images

LEARNT = CLASSIFICATION[1:]
RUN_CONFIG = yaml.safe_load((Path(__file__).parents[2] / "run_configs" / "sample.yaml").read_text())
SAMPLE_CONFIG: dict[str, Any] = {asset: ops["config"] for asset, ops in RUN_CONFIG["ops"].items()}
# Three splits are the default of a user's run; other tests have fewer.
SAMPLE_CONFIG["image_classifier"] |= {"splits": 3, "train_per_class": 8}


def assert_clear(message: str, *parts: str) -> None:
    assert 0 < len(message.splitlines()) <= 2, message
    assert "Traceback" not in message
    for part in parts:
        assert part in message, message


class Sample(NamedTuple):
    pipeline: Runner
    metadata: dict[str, dict[str, Any]]
    checks: dict[tuple[str, str], bool]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Sample:
    """Half of the sample, as in run_configs/sample.yaml: ten classes of 12 images. Only for reading."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample_images(folder / "images", images_per_class=12)
    pipeline = Runner(folder / "data")
    result = pipeline.run(folder / "images", *ALL_ASSETS, **SAMPLE_CONFIG)
    checks = {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation.passed
        for evaluation in result.get_asset_check_evaluations()
    }
    return Sample(pipeline, {asset: pipeline.metadata(result, asset) for asset in CLASSIFICATION}, checks)


def stored_arrays(pipeline: Runner) -> dict[str, NDArray[Any]]:
    """The classifier's file, read with NumPy alone."""
    data = (Path(pipeline.current("image_classifier").uri) / "classifier.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return dict(stored)


def subsets_of(pipeline: Runner, spark: SparkSession, options: SplitOptions) -> pd.DataFrame:
    features = spark.read.parquet(pipeline.current("sift_features").uri)
    return split_images(usable_images(labelled_images(features, None), options), options).toPandas()


class Side(NamedTuple):
    """What is on one side of a split: features and classes of the images."""

    features: NDArray[np.float64]
    targets: NDArray[np.int64]


def splits_of(pipeline: Runner, spark: SparkSession, options: SplitOptions) -> list[dict[str, Side]]:
    labels = sorted(set(pipeline.table("sift_features")["label"]))
    encodings = pipeline.table("bow_encodings").set_index("fileName")["bow"]
    subsets = subsets_of(pipeline, spark, options)
    return [
        {
            str(side): Side(
                apply_feature_map(np.stack(encodings[list(part["fileName"])].to_list()), "hellinger"),
                np.array([labels.index(label) for label in part["label"]]),
            )
            for side, part in of_split.groupby("subset")
        }
        for _, of_split in subsets.groupby("split")
    ]


SAMPLE_SPLITS = SplitOptions(train_per_class=8, test_per_class=None)


@pytest.fixture(scope="module")
def splits(sample: Sample, spark: SparkSession) -> list[dict[str, Side]]:
    return splits_of(sample.pipeline, spark, SAMPLE_SPLITS)


@pytest.fixture(scope="module")
def predicted(sample: Sample, splits: list[dict[str, Side]]) -> list[tuple[NDArray, NDArray]]:
    """True and predicted class of each image that is tested, by split, from the stored arrays alone."""
    arrays = stored_arrays(sample.pipeline)
    return [
        (
            split["test"].targets,
            (split["test"].features @ arrays["weights"][i].T.astype(float) + arrays["intercepts"][i]).argmax(
                axis=1
            ),
        )
        for i, split in enumerate(splits)
    ]


def test_metadata_of_the_classifier(sample: Sample) -> None:
    snapshot, metadata = sample.pipeline.current("image_classifier"), sample.metadata["image_classifier"]
    assert metadata["dagster/row_count"] == snapshot.rows == 30
    assert metadata["dagster/uri"] == snapshot.uri
    expected = {
        "usable_images": 120,
        "images_with_an_error": 0,
        "images_without_label": 0,
        "excluded_images": 0,
        "train_images_per_split": 80,
        "test_images_per_split": 40,
        "copies_left_out_per_split": 0,
        "unused_images_per_split": 0,
        "classes": 10,
        "splits": 3,
        "features": 200,
    }
    assert {name: metadata[name] for name in expected} == expected
    assert metadata["config"]["train_per_class"] == 8
    assert metadata["code_version"] == "2"
    for asset in ("bow_encodings", "sift_features", "image_labels"):
        assert metadata[f"made_from_{asset}"] == sample.pipeline.current(asset).name


def test_the_file_names_its_dictionary_and_its_settings(sample: Sample) -> None:
    arrays = stored_arrays(sample.pipeline)
    assert str(arrays["dictionary"]) == sample.pipeline.current("kmeans_dictionary").name
    snapshot = sample.pipeline.current("image_classifier")
    settings = json.loads(str(arrays["settings"]))
    assert settings == SPECS["image_classifier"].table_settings(snapshot.config)
    assert settings == {
        "split": "random",
        "train_per_class": 8,
        "test_per_class": None,
        "exclude_labels": [],
        "seed": 0,
        "splits": 3,
        "feature_map": "hellinger",
        "reg_param": 1e-5,
        "max_iter": 50,
    }
    assert arrays["labels"].tolist() == sorted(set(sample.pipeline.table("sift_features")["label"]))
    assert arrays["weights"].shape == (3, 10, 200)
    assert [file.name for file in Path(snapshot.uri).iterdir() if file.name[0] != "."] == ["classifier.npz"]


def test_the_checks_ran_and_passed(sample: Sample) -> None:
    assert all(sample.checks.values())
    assert {
        ("image_labels", "unique_keys"),
        ("image_labels", "same_keys_as_upstream"),
        ("image_labels", "known_splits"),
        ("image_labels", "labels_have_text"),
        ("image_classifier", "unique_keys"),
        ("image_classifier", "one_length"),
        ("image_classifier", "finite_weights"),
        ("image_predictions", "unique_keys"),
        ("image_predictions", "scores_in_range"),
        ("image_predictions", "correct_means_equal"),
        ("classification_report", "unique_keys"),
        ("classification_report", "shares_in_range"),
        ("classification_report", "confusion_adds_up"),
        ("classification_report", "accuracy_kept"),
    } <= sample.checks.keys()


def test_the_predictions_are_those_of_the_stored_arrays(
    sample: Sample, predicted: list[tuple[NDArray, NDArray]], spark: SparkSession
) -> None:
    labels = stored_arrays(sample.pipeline)["labels"]
    table = sample.pipeline.table("image_predictions").set_index(["split", "fileName"])
    subsets = subsets_of(sample.pipeline, spark, SAMPLE_SPLITS)
    tested = subsets[subsets["subset"] == "test"]
    assert set(table.index) == set(zip(tested["split"], tested["fileName"], strict=True))
    for split, part in tested.groupby("split"):
        true, found = predicted[int(str(split))]
        rows = table.loc[[(split, name) for name in part["fileName"]]]
        np.testing.assert_array_equal(rows["label"], labels[true])
        np.testing.assert_array_equal(rows["predicted"], labels[found])
        np.testing.assert_array_equal(rows["correct"], true == found)
    metadata = sample.metadata["image_predictions"]
    assert metadata["wrong_predictions"] == sum(int((true != found).sum()) for true, found in predicted)
    assert metadata["splits"] == 3
    assert metadata["dagster/row_count"] == 120


def test_the_surest_wrong_images_are_named(sample: Sample) -> None:
    table = sample.pipeline.table("image_predictions")
    wrong = table[~table["correct"]].sort_values(["score", "fileName"], ascending=[False, True])
    expected = wrong.drop_duplicates("fileName").head(10)
    assert len(expected), "or the test is too easy"
    lines = [
        f"- `{image.fileName}`: {image.label}, said {image.predicted}, {image.score:.2f}"
        for image in expected.itertuples()
    ]
    assert sample.metadata["classification_report"]["surest_wrong"] == "\n".join(lines)


def test_the_table_of_the_report_is_what_scikit_learn_finds(
    sample: Sample, predicted: list[tuple[NDArray, NDArray]]
) -> None:
    labels = stored_arrays(sample.pipeline)["labels"].tolist()
    table = sample.pipeline.table("classification_report").set_index(["split", "label"])
    assert sorted(table.index) == [(split, label) for split in range(3) for label in sorted(labels)]
    for split, (true, found) in enumerate(predicted):
        part = table.loc[split].loc[labels]
        precision, recall, f1, support = class_scores(
            true, found, labels=range(len(labels)), zero_division=np.nan
        )
        np.testing.assert_allclose(part["precision"].astype(float), precision)
        np.testing.assert_allclose(part["recall"].astype(float), recall)
        np.testing.assert_allclose(part["f1"].astype(float), f1)
        np.testing.assert_array_equal(part["support"], support)
        assert set(part["trainCount"]) == {8}
        confusions = confusion_matrix(true, found, labels=range(len(labels)))
        np.testing.assert_array_equal(np.stack(part["predicted"].to_list()), confusions)
        wrong = confusions - np.diag(confusions.diagonal())
        np.testing.assert_array_equal(part["confusedCount"], wrong.max(axis=1))
        for row, name in zip(wrong, part["confusedWith"], strict=True):
            assert name == (labels[row.argmax()] if row.any() else None)


def rounded(share: float) -> Any:
    """Return a share as metadata show it, with four decimals."""
    return pytest.approx(share, abs=0.5e-4 + 1e-9)


def test_metadata_of_the_report(sample: Sample, predicted: list[tuple[NDArray, NDArray]]) -> None:
    metadata = sample.metadata["classification_report"]
    per_class = [balanced_accuracy_score(true, found) for true, found in predicted]
    assert metadata["classes"] == 10
    assert metadata["splits"] == 3
    assert metadata["test_images"] == sum(len(true) for true, _ in predicted) == 120
    shown_first = ["mean_per_class_accuracy", "std_of_mean_per_class_accuracy", "accuracy"]
    assert list(metadata)[:3] == shown_first
    assert metadata["mean_per_class_accuracy"] == rounded(np.mean(per_class))
    assert metadata["std_of_mean_per_class_accuracy"] == rounded(np.std(per_class, ddof=1))
    assert metadata["accuracy"] == rounded(np.mean([accuracy_score(*pair) for pair in predicted]))
    stored = sample.pipeline.current("classification_report").counts
    assert stored["mean_per_class_accuracy"] == pytest.approx(np.mean(per_class))
    assert stored["accuracy"] == pytest.approx(np.mean([accuracy_score(*pair) for pair in predicted]))
    f1 = [f1_score(true, found, average="macro") for true, found in predicted]
    assert metadata["macro_f1"] == rounded(np.mean(f1))
    assert metadata["chance_level"] == pytest.approx(0.1)
    assert metadata["majority_class_accuracy"] == pytest.approx(0.1)
    assert metadata["test_images_of_unknown_classes"] == 0
    classes = metadata["worst_and_best_classes"]
    assert {each["class"] for each in classes} == set(stored_arrays(sample.pipeline)["labels"].tolist())
    assert [each["recall"] for each in classes] == sorted(each["recall"] for each in classes)
    wrong = sum(int((true != found).sum()) for true, found in predicted)
    pairs = metadata.get("most_confused_pairs", [])
    assert sum(each["images"] for each in pairs) == wrong or len(pairs) == 20
    assert all(each["class"] != each["classified as"] for each in pairs)
    for asset in ("image_classifier", "image_labels", "bow_encodings", "sift_features"):
        assert metadata[f"made_from_{asset}"] == sample.pipeline.current(asset).name


def test_the_comparison_of_results_has_the_figures_of_the_report(sample: Sample) -> None:
    (found,) = find_results([("", sample.pipeline.store)])
    metadata = sample.metadata["classification_report"]
    for name in ("mean_per_class_accuracy", "std_of_mean_per_class_accuracy", "accuracy", "test_images"):
        assert rounded(getattr(found, name)) == metadata[name]
    assert (found.images, found.classes, found.splits) == (120, 10, 3)
    assert found.settings["kmeans_dictionary.k"] == 200
    assert found.settings["image_classifier.train_per_class"] == 8
    seconds = [sample.pipeline.current(asset).seconds for asset in ("kmeans_dictionary", "image_classifier")]
    assert found.training_seconds == pytest.approx(sum(seconds))
    assert found.unknown_settings == ()
    assert found.protocol


def test_the_accuracy_is_as_good_as_that_of_the_best_linear_classifier(
    sample: Sample, splits: list[dict[str, Side]]
) -> None:
    """The other one chooses its constant by cross-validation on the training images, as a user would."""
    best = np.mean([linear_svc(split) for split in splits])
    own = sample.metadata["classification_report"]["mean_per_class_accuracy"]
    assert own >= best - 0.01
    assert own > 0.5, "and chance is a tenth"


def linear_svc(split: dict[str, Side]) -> float:
    search = GridSearchCV(
        LinearSVC(random_state=0, max_iter=100_000),
        {"C": np.logspace(-2, 2, 9)},
        cv=4,
        scoring="balanced_accuracy",
    )
    model = search.fit(*split["train"])
    return float(balanced_accuracy_score(split["test"].targets, model.predict(split["test"].features)))


def test_the_best_class_of_every_image_is_the_same_for_prediction(
    sample: Sample, predicted: list[tuple[NDArray, NDArray]], spark: SparkSession
) -> None:
    subsets = subsets_of(sample.pipeline, spark, SAMPLE_SPLITS)
    tested = subsets[(subsets["split"] == 0) & (subsets["subset"] == "test")]["fileName"].tolist()
    labels = stored_arrays(sample.pipeline)["labels"]
    files = [sample.pipeline.data.parent / "images" / name for name in tested[:20]]
    found = prediction.predict(files, data_folder=str(sample.pipeline.data))
    assert [each.labels[0] for each in found] == labels[predicted[0][1][:20]].tolist()


@pytest.mark.whole
def test_a_rerun_gives_the_same_models_and_the_same_report(sample: Sample, tmp_path: Path) -> None:
    """On the same tables, in whatever order Spark does it."""
    shutil.copytree(sample.pipeline.data, tmp_path / "data")
    again = Runner(tmp_path / "data")
    config = SAMPLE_CONFIG["image_classifier"] | {"splits": 1}
    again.run(None, *LEARNT, image_classifier=config)
    first, second = stored_arrays(sample.pipeline), stored_arrays(again)
    np.testing.assert_array_equal(second["weights"][0], first["weights"][0])
    np.testing.assert_array_equal(second["intercepts"][0], first["intercepts"][0])
    before = sample.pipeline.table("classification_report")
    before = before[before["split"] == 0].sort_values("label").reset_index(drop=True)
    after = again.table("classification_report").sort_values("label").reset_index(drop=True)
    pd.testing.assert_frame_equal(after, before)


def write_images(folder: Path, count: int, first_seed: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:02}.png").write_bytes(
            images.encoded(images.textured(80, 90, seed=first_seed + index), "PNG")
        )


@pytest.mark.parametrize(
    "folder",
    [pytest.param(".", marks=pytest.mark.whole), "cats"],
    ids=["no label", "one label"],
)
def test_nothing_to_classify_is_no_failure(
    pipeline: Runner,
    tmp_path: Path,
    folder: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = tmp_path / "source"
    write_images(source / folder, 2, 0) if folder != "." else write_images(source, 2, 0)
    result = pipeline.run(source, *ALL_ASSETS, kmeans_dictionary={"k": 5})
    for asset in (*UP_TO_ENCODINGS, "image_labels"):
        assert pipeline.current(asset).rows
    for asset in LEARNT:
        assert pipeline.store.current((asset,)) is None
        assert not result.asset_materializations_for_node(asset)
    skipped = {event.step_key for event in result.all_events if event.is_step_skipped}
    assert "classification_report" in skipped
    printed = capfd.readouterr().err.splitlines()
    (warning,) = [line for line in printed if "image_classifier       warning: " in line]
    assert "Nothing to classify" in warning
    assert "label" in warning
    assert not list(pipeline.data.rglob("*.pending")), "the run ends its leases"
    monkeypatch.setenv(settings.DATA, str(pipeline.data))
    assert main(["summary"]) == 0
    why = "no image has a label" if folder == "." else "all images with a label have the same one"
    said = capfd.readouterr().out
    assert f"There is no image_classifier, because {why}. Put the images of each class into a folder" in said
    assert "Not materialized yet" not in said


def test_excluding_all_labels_but_one_is_a_failure(filled_copy: Runner) -> None:
    config = {"exclude_labels": ["cats"]}
    result = filled_copy.run(None, "image_classifier", image_classifier=config, fail=True)
    assert_clear(filled_copy.error(result), "exclude_labels", "two are needed")
    assert "1 classes" in filled_copy.error(result)
    assert "6 images are excluded" in filled_copy.error(result)
    assert filled_copy.store.current(("image_classifier",)) is None


def test_a_folder_split_without_the_folders_is_a_failure(filled_copy: Runner) -> None:
    result = filled_copy.run(None, "image_classifier", image_classifier={"split": "folder"}, fail=True)
    assert_clear(filled_copy.error(result), "train/<class>", "test/<class>", "split: random")


def test_predictions_without_a_classifier_are_a_failure(filled_copy: Runner) -> None:
    message = filled_copy.error(filled_copy.run(None, "image_predictions", fail=True))
    assert_clear(message, "Materialize image_classifier first", str(filled_copy.data))


ONLY_TRAINED = ("only trained", "only trained, too")
ODD_LABELS = ('it\'s a "dog"', "élan 象 🐘", "a,b;c\\d {e} $f %g")


@pytest.fixture(scope="module")
def in_folders(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession
) -> tuple[Runner, dg.ExecuteInProcessResult]:
    """Three classes of odd names in the folders `train` and `test`, and other folders. Only for reading."""
    folder = tmp_path_factory.mktemp("folders")
    source = folder / "source"
    for number, label in enumerate(ODD_LABELS):
        write_images(source / "train" / label, 3 + number, 100 * number)
        write_images(source / "test" / label, 2, 100 * number + 50)
    write_images(source / "train" / ONLY_TRAINED[0], 2, 1000)
    write_images(source / "train" / ONLY_TRAINED[1], 2, 1500)
    write_images(source / "test" / "only tested", 3, 2000)
    write_images(source / "elsewhere" / ODD_LABELS[0], 2, 3000)
    shutil.copy(source / "train" / ODD_LABELS[0] / "00.png", source / "test" / ODD_LABELS[1] / "copy.png")
    pipeline = Runner(folder / "data")
    config = {"split": "folder", "splits": 5, "max_iter": 10}
    return pipeline, pipeline.run(source, *ALL_ASSETS, image_classifier=config)


def test_the_folders_train_and_test(in_folders: tuple[Runner, dg.ExecuteInProcessResult]) -> None:
    pipeline, result = in_folders
    found = pipeline.metadata(result, "image_classifier")
    expected = {
        "usable_images": 28,
        "train_images_per_split": 16,
        "test_images_per_split": 9,
        "copies_left_out_per_split": 1,
        "unused_images_per_split": 2,
        "splits": 1,
        "classes": 5,
    }
    assert {name: found[name] for name in expected} == expected
    report = pipeline.metadata(result, "classification_report")
    assert report["test_images"] == 6
    assert report["test_images_of_unknown_classes"] == 3
    table = pipeline.table("classification_report").set_index("label")
    assert set(table.index) == {*ODD_LABELS, *ONLY_TRAINED}
    assert [table["trainCount"][label] for label in ODD_LABELS] == [3, 4, 5]
    assert [table["support"][label] for label in ODD_LABELS] == [2, 2, 2]
    for label in ONLY_TRAINED:
        assert table["support"][label] == 0
        assert math.isnan(table["recall"][label])
    assert report["mean_per_class_accuracy"] == rounded(table["recall"].mean())
    predictions = pipeline.table("image_predictions").set_index("label")
    assert len(predictions) == 9
    unknown = predictions.loc["only tested"]
    assert len(unknown) == 3, "no image disappears"
    assert not unknown["correct"].any()
    assert ": only tested, said" not in report.get("surest_wrong", "")


def test_labels_of_any_characters(in_folders: tuple[Runner, dg.ExecuteInProcessResult]) -> None:
    pipeline, result = in_folders
    labels = stored_arrays(pipeline)["labels"].tolist()
    assert labels == sorted({*ODD_LABELS, *ONLY_TRAINED})
    records = pipeline.metadata(result, "classification_report")["worst_and_best_classes"]
    assert {record["class"] for record in records} == set(ODD_LABELS)
    found = prediction.predict(images.textured(), top=5, data_folder=str(pipeline.data))
    assert set(next(iter(found)).labels) == set(labels)


def test_labels_of_any_characters_can_be_excluded(
    in_folders: tuple[Runner, dg.ExecuteInProcessResult], tmp_path: Path
) -> None:
    shutil.copytree(in_folders[0].data, tmp_path / "data")
    pipeline = Runner(tmp_path / "data")
    config = {"split": "folder", "exclude_labels": [*ODD_LABELS[1:], "no such class"], "max_iter": 1}
    result = pipeline.run(None, "image_classifier", image_classifier=config)
    assert stored_arrays(pipeline)["labels"].tolist() == sorted([ODD_LABELS[0], *ONLY_TRAINED])
    assert pipeline.metadata(result, "image_classifier")["excluded_images"] == 14


def test_no_image_to_test_on_is_a_failure(
    in_folders: tuple[Runner, dg.ExecuteInProcessResult], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All that is tested is of classes that are not trained on, or the other way round."""
    shutil.copytree(in_folders[0].data, tmp_path / "data")
    pipeline = Runner(tmp_path / "data")
    config = {"split": "folder", "exclude_labels": list(ODD_LABELS), "max_iter": 1}
    pipeline.run(None, "image_classifier", image_classifier=config)
    capfd.readouterr()
    pipeline.run(None, "classification_report", classification_report={"full_refresh": True})
    assert "There is a newer image_classifier than the one" in capfd.readouterr().err
    before = pipeline.current("classification_report")
    message = pipeline.error(pipeline.run(None, *CLASSIFICATION[2:], fail=True))
    assert_clear(message, "no test image", "folder `test`")
    assert set(pipeline.table("image_predictions")["label"]) == {"only tested"}
    assert pipeline.current("classification_report") == before
    assert next(iter(prediction.predict(images.textured(), data_folder=str(pipeline.data)))).labels


@pytest.fixture
def sample_copy(sample: Sample, tmp_path: Path) -> Runner:
    shutil.copytree(sample.pipeline.data, tmp_path / "data")
    return Runner(tmp_path / "data")


@pytest.mark.whole
def test_a_report_made_later_is_of_the_tables_that_the_classifier_was_made_from(
    sample_copy: Runner,
) -> None:
    before = {asset: sample_copy.current(asset) for asset in ALL_ASSETS}
    table = sample_copy.table("classification_report")
    # Other descriptors, other words, other encodings; and fewer words than the classifier has weights for.
    sample_copy.run(
        None,
        *UP_TO_ENCODINGS[1:],
        sift_features={"nfeatures": 20},
        kmeans_dictionary={"k": 10},
        bow_encodings={"pooling": "max"},
    )
    for asset in UP_TO_ENCODINGS[1:]:
        assert sample_copy.current(asset).name != before[asset].name
    full = {"full_refresh": True}
    result = sample_copy.run(None, "classification_report", classification_report=full)
    after = sample_copy.current("classification_report")
    assert after.name != before["classification_report"].name
    assert after.inputs == before["classification_report"].inputs
    pd.testing.assert_frame_equal(sample_copy.table("classification_report"), table)
    found = sample_copy.metadata(result, "classification_report")
    assert found["made_from_bow_encodings"] == before["bow_encodings"].name


def test_a_classifier_made_later_is_of_the_features_that_the_encodings_were_made_from(
    filled_copy: Runner,
) -> None:
    before = {asset: filled_copy.current(asset).name for asset in UP_TO_ENCODINGS}
    filled_copy.run(None, "sift_features", sift_features={"nfeatures": 20})
    assert filled_copy.current("sift_features").name != before["sift_features"]
    filled_copy.run(None, "image_classifier", image_classifier={"splits": 1, "max_iter": 1})
    inputs = filled_copy.current("image_classifier").inputs
    labels = filled_copy.current("image_labels").name
    assert inputs == {asset: before[asset] for asset in ("bow_encodings", "sift_features")} | {
        "image_labels": labels
    }
    assert str(stored_arrays(filled_copy)["dictionary"]) == before["kmeans_dictionary"]


def test_a_damaged_classifier_is_named(sample_copy: Runner) -> None:
    before = sample_copy.current("classification_report")
    uri = sample_copy.current("image_classifier").uri
    file = Path(uri) / "classifier.npz"
    file.write_bytes(file.read_bytes()[:5000])
    refresh = {"full_refresh": True}
    message = sample_copy.error(
        sample_copy.run(None, "image_predictions", image_predictions=refresh, fail=True)
    )
    assert_clear(message, str(file), "damaged", "Materialize image_classifier again")
    assert sample_copy.current("classification_report") == before
    with pytest.raises(UserError, match="Materialize image_classifier again") as error:
        prediction.predict(images.textured(), data_folder=str(sample_copy.data))
    assert uri in str(error.value)


def test_the_summary_shows_a_classifier_of_these_encodings_alone(
    sample_copy: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(sample_copy.data))
    # The same encodings in another snapshot are those that the classifier was trained on.
    same = SAMPLE_CONFIG.get("bow_encodings", {}) | {"full_refresh": True}
    sample_copy.run(None, "bow_encodings", bow_encodings=same)
    capsys.readouterr()
    assert main(["summary"]) == 0
    assert "40 test images of 10 classes, mean of 3 splits" in capsys.readouterr().out
    sample_copy.run(None, "bow_encodings", bow_encodings={"pooling": "max"})
    capsys.readouterr()
    assert main(["summary"]) == 0
    printed = capsys.readouterr().out
    assert "from an older table" in printed
    assert "Accuracy" not in printed


def test_labels_to_exclude_that_no_image_has_are_named(
    filled_copy: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {"exclude_labels": ["Cats", "clutter"], "splits": 1, "max_iter": 1}
    result = filled_copy.run(None, *LEARNT, image_classifier=config)
    assert "exclude_labels names classes that no image has: Cats, clutter" in capfd.readouterr().err
    report = filled_copy.metadata(result, "classification_report")
    assert "std_of_mean_per_class_accuracy" not in report, "a single split has no standard deviation"


def test_labels_and_splits_from_a_file(
    filled_copy: Runner,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    *named, unnamed = filled_copy.table("sift_features")["fileName"]
    before = filled_copy.current("image_labels")
    # Classes that are not those of the folders.
    rows = [
        (name, ("left", "right")[i % 2], ("train", "train", "test")[i % 3]) for i, name in enumerate(named)
    ]
    file = tmp_path / "labels.csv"

    def write(rows: list[tuple[str, str, str]]) -> None:
        file.write_text("".join(f"{','.join(row)}\n" for row in [("fileName", "label", "split"), *rows]))

    write([*rows, ("nowhere.jpg", "left", "")])
    config: dict[str, Any] = {
        "image_labels": {"labels": str(file)},
        "image_classifier": {"split": "labels", "max_iter": 3},
    }
    result = filled_copy.run(None, *CLASSIFICATION, **config)

    errors = capfd.readouterr().err
    assert f"no image has these names in {file} (1): 'nowhere.jpg'" in errors
    assert f"{file} has no row for these images (1): {unnamed!r}" in errors
    found = filled_copy.metadata(result, "image_labels")
    assert found["unknown_names"] == [{"fileName": "nowhere.jpg"}]
    assert found["images_without_row"] == [{"fileName": unnamed}]
    assert (found["unknown_names_total"], found["images_without_row_total"]) == (1, 1)
    assert found["images_per_label"] == [{"label": "left", "images": 6}, {"label": "right", "images": 5}]
    assert (found["labels"], found["images_without_label"]) == (2, 1)
    assert stored_arrays(filled_copy)["labels"].tolist() == ["left", "right"]
    report = filled_copy.table("classification_report").set_index("label")
    for label in ("left", "right"):
        for column, split in (("trainCount", "train"), ("support", "test")):
            assert report[column][label] == sum(row[1:] == (label, split) for row in rows)
    monkeypatch.setenv(settings.DATA, str(filled_copy.data))
    assert main(["summary"]) == 0
    assert "2 labels; 1 image without a label." in capfd.readouterr().out

    first = filled_copy.current("image_labels")
    assert first.version != before.version
    write(rows[::-1])
    filled_copy.run(None, "image_labels", **config)
    assert filled_copy.current("image_labels").version == first.version
    write([(name, label, "") for name, label, _ in rows])
    filled_copy.run(None, "image_labels", **config)
    assert filled_copy.current("image_labels").version != first.version
    assert main(["summary"]) == 0
    said = capfd.readouterr().out
    assert "image_classifier was made from an older table" in said
    assert "There is no" not in said
    message = filled_copy.error(filled_copy.run(None, "image_classifier", fail=True, **config))
    assert_clear(message, "`split: labels`", "has 0 and 0", "split: random")


def test_labels_of_other_images_are_refused(filled_copy: Runner, image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder / "cats", tmp_path / "source" / "cats")
    filled_copy.run(tmp_path / "source", "image_seqfile", "image_labels")
    message = filled_copy.error(filled_copy.run(None, "image_classifier", fail=True))
    assert_clear(
        message, "not of the same images", "Materialize image_labels, sift_features and bow_encodings"
    )
