import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets import prediction, settings
from vision_assets.cli import main
from vision_assets.errors import UserError
from vision_assets.prediction import Prediction
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.steps import predictions
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.stored_tables import read_classifier
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.io.decoding import decode_gray
from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Runner
from vision_assets_tests.vision import images

TO_THE_CLASSIFIER = (*UP_TO_ENCODINGS, "image_labels", "image_classifier")


@pytest.fixture(scope="module")
def classified(
    tmp_path_factory: pytest.TempPathFactory, filled: Runner
) -> tuple[Runner, dict[str, Prediction]]:
    """A pipeline with a classifier, and what the pipeline itself says of each of its images.

    Only for tests that add nothing to it.
    """
    data = tmp_path_factory.mktemp("classified") / "data"
    shutil.copytree(filled.data, data)
    pipeline = Runner(data)
    pipeline.run(None, "image_classifier", image_classifier={"splits": 2, "max_iter": 10})
    return pipeline, by_the_pipeline(pipeline)


def by_the_pipeline(pipeline: Runner) -> dict[str, Prediction]:
    """File name to what the model of the first split says, from the stored encodings and classifier."""
    spark = SparkSession.getActiveSession()
    assert spark
    classifier = read_classifier(spark, pipeline.current("image_classifier").uri)
    encodings = spark.read.parquet(pipeline.current("bow_encodings").uri)
    # The label is only carried along.
    sides = encodings.select("fileName", F.lit(0).alias("split"), F.lit("any").alias("label"))
    rows = predictions.predict(vectors_of(encodings, BagOfWords), sides, classifier).collect()
    keypoints = {row.fileName: row.descriptorCount for row in encodings.collect()}
    return {row.fileName: Prediction((row.predicted,), (row.score,), keypoints[row.fileName]) for row in rows}


def predict(pipeline: Runner, chosen: Any, **options: Any) -> list[Prediction]:
    return list(prediction.predict(chosen, data_folder=str(pipeline.data), **options))


@pytest.fixture
def on_classified(
    classified: tuple[Runner, dict[str, Prediction]], monkeypatch: pytest.MonkeyPatch
) -> Runner:
    """A pipeline with a classifier, named by the environment."""
    monkeypatch.setenv(settings.DATA, str(classified[0].data))
    return classified[0]


def test_every_image_is_classified_as_in_the_pipeline_to_the_bit(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    pipeline, expected = classified
    assert len(expected) == 12
    assert len({found.scores for found in expected.values()}) == 12
    names = list(expected)
    assert (
        dict(zip(names, predict(pipeline, [image_folder / name for name in names]), strict=True)) == expected
    )


ODD_SETTINGS: dict[str, Any] = {
    "sift_features": {"max_side": 100, "nfeatures": 60, "contrast_threshold": 0.03, "sigma": 1.4},
    "kmeans_dictionary": {"k": 15, "seed": 4},
    "bow_encodings": {"pooling": "max", "normalization": "l2"},
    "image_classifier": {"feature_map": "chi2", "splits": 1, "seed": 8, "max_iter": 4},
}


@pytest.mark.whole
def test_other_settings_and_odd_images_to_the_bit(
    pipeline: Runner, image_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "odd"
    shutil.copytree(image_folder, source)
    odd = {
        "cats/flat.png": images.encoded(images.flat(), "PNG"),
        "cats/rotated.jpg": images.rotated(6),
        "cats/animated.gif": images.animated("GIF"),
        "dogs/deep.png": images.cv_encoded(images.textured().astype(np.uint16) * 257, ".png"),
        "dogs/truncated.jpg": images.jpeg()[:-700],
        "no folder.jpg": images.jpeg(images.colored(seed=99)),
    }
    for name, data in odd.items():
        (source / name).write_bytes(data)
    pipeline.run(source, *TO_THE_CLASSIFIER, **ODD_SETTINGS)
    expected = by_the_pipeline(pipeline)
    features = pipeline.table("sift_features").set_index("fileName")
    assert list(features.index[features["error"].notna()]) == ["dogs/truncated.jpg"]
    assert features["keypointCount"].max() <= 61
    for name, found in zip(expected, predict(pipeline, [source / name for name in expected]), strict=True):
        reason = features["error"][name]
        assert found == (Prediction(error=reason) if reason else expected[name])


def test_all_that_an_image_can_be_given_as(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    pipeline, expected = classified
    for name in list(expected)[:3]:
        file = image_folder / name
        data = file.read_bytes()
        gray = decode_gray(data, max_pixels=10**9)
        forms = [str(file), file, data, gray, np.asfortranarray(gray), np.pad(gray, 3)[3:-3, 3:-3]]
        assert predict(pipeline, forms) == [expected[name]] * len(forms)
        for form in forms:
            assert predict(pipeline, form) == [expected[name]], "one alone needs no list"


def test_colours_are_in_the_order_of_opencv(classified: tuple[Runner, dict[str, Prediction]]) -> None:
    pipeline, _ = classified
    bgr = images.colored(seed=77)
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    other = cv2.cvtColor(bgr, cv2.COLOR_RGB2GRAY)
    first, second, third = predict(pipeline, [bgr, gray, other])
    assert first == second != third
    (stored,) = predict(pipeline, images.cv_encoded(gray, ".png"))
    assert stored == first


def test_probabilities_from_the_stored_files_alone(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    """Nothing but OpenCV and NumPy on the pipeline's own files, as a user would write it."""
    pipeline, expected = classified
    words = pd.read_parquet(pipeline.current("kmeans_dictionary").uri).sort_values("wordId")
    vocabulary = Vocabulary(np.stack(words["center"].to_list()).astype(float))
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords())
    with np.load(f"{pipeline.current('image_classifier').uri}/classifier.npz") as stored:
        for name, found in expected.items():
            bow = encoder.encode(image_folder / name).astype(float)
            scores = stored["weights"][0].astype(float) @ np.sqrt(bow / bow.sum()) + stored["intercepts"][0]
            shares = np.exp(scores) / np.exp(scores).sum()
            assert stored["labels"][shares.argmax()] == found.labels[0]
            assert shares.max() == pytest.approx(found.scores[0], rel=1e-4)


def test_results_come_in_the_order_of_the_images_whatever_the_batch(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    pipeline, expected = classified
    order = [*reversed(expected), *list(expected)[::2], *list(expected)[:1] * 3]
    found = predict(pipeline, (image_folder / name for name in order))
    assert found == [expected[name] for name in order]


def test_images_are_taken_one_by_one(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    """An endless source of images gives results as they are asked for."""
    pipeline, expected = classified
    name = next(iter(expected))

    def endless() -> Iterator[Path]:
        while True:
            yield image_folder / name

    found = prediction.predict(endless(), data_folder=str(pipeline.data))
    assert [next(found), next(found)] == [expected[name]] * 2


def test_top_names_the_most_probable_ones(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    pipeline, expected = classified
    files = [image_folder / name for name in expected]
    for (name, first), both in zip(expected.items(), predict(pipeline, files, top=2), strict=True):
        assert set(both.labels) == {"cats", "dogs"}
        assert (both.labels[0], both.scores[0]) == (first.labels[0], first.scores[0]), name
        assert both.scores[0] >= both.scores[1] > 0
        assert sum(both.scores) == pytest.approx(1, abs=1e-15)
        assert all(type(score) is float for score in both.scores)
    assert predict(pipeline, files, top=9) == predict(pipeline, files, top=2)
    with pytest.raises(UserError, match="top=0"):
        predict(pipeline, files, top=0)


def test_an_image_that_cannot_be_read_is_an_error_of_its_own(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path, tmp_path: Path
) -> None:
    pipeline, expected = classified
    name = next(iter(expected))
    (tmp_path / "text.jpg").write_bytes(b"this is no image")
    bad: list[Any] = [
        tmp_path / "text.jpg",
        tmp_path / "missing.jpg",
        tmp_path,
        b"",
        images.jpeg()[:-700],
        images.png_claiming(60_000, 60_000),
    ]
    mixed = [image for one in bad for image in (one, image_folder / name)]
    found = predict(pipeline, mixed)
    assert found[1::2] == [expected[name]] * len(bad)
    for one in found[::2]:
        assert (one.labels, one.scores) == ((), ())
        assert one.error
        assert "\n" not in one.error
    assert "No such file" in str(found[2].error)


@pytest.mark.parametrize(
    "image",
    [
        images.textured().astype(np.float32),
        images.textured().astype(np.uint16),
        images.textured() > 9,
        images.textured()[0],
        images.colored()[None],
        images.colored()[:, :, :2],
        np.dstack([images.colored(), images.colored()[:, :, :2]]),
        images.textured()[:0],
        images.textured()[:, :0],
        np.uint8(3) * np.ones((), np.uint8),
    ],
    ids=lambda image: f"{np.shape(image)} {np.asarray(image).dtype}",
)
def test_an_array_that_is_no_image_is_named(
    classified: tuple[Runner, dict[str, Prediction]], image: Any
) -> None:
    image = np.asarray(image)
    bad, good = predict(classified[0], [image, images.textured()])
    assert bad.labels == ()
    for part in (str(image.shape), str(image.dtype), "uint8"):
        assert part in str(bad.error)
    assert good.error is None
    assert len(good.labels) == 1


def test_an_image_without_keypoints_is_classified(
    classified: tuple[Runner, dict[str, Prediction]],
) -> None:
    """Its encoding is zero, so the intercepts decide."""
    pipeline, _ = classified
    with np.load(f"{pipeline.current('image_classifier').uri}/classifier.npz") as stored:
        best = str(stored["labels"][stored["intercepts"][0].argmax()])
    for image in (images.flat(), images.flat(1, 1), images.encoded(images.flat(), "PNG")):
        (found,) = predict(pipeline, image)
        assert found.labels == (best,)


def test_no_images_are_no_predictions(classified: tuple[Runner, dict[str, Prediction]]) -> None:
    assert predict(classified[0], []) == []


def test_without_a_classifier_there_is_a_clear_error(filled: Runner) -> None:
    with pytest.raises(UserError, match="Materialize image_classifier first") as error:
        prediction.predict([images.textured()], data_folder=str(filled.data))
    assert str(filled.data) in str(error.value)


@pytest.fixture
def classified_copy(classified: tuple[Runner, dict[str, Prediction]], tmp_path: Path) -> Runner:
    shutil.copytree(classified[0].data, tmp_path / "data")
    return Runner(tmp_path / "data")


def test_the_classifiers_own_dictionary_is_used(
    classified: tuple[Runner, dict[str, Prediction]],
    classified_copy: Runner,
    image_folder: Path,
) -> None:
    _, expected = classified
    before = classified_copy.current("kmeans_dictionary").name
    classified_copy.run(None, "kmeans_dictionary", kmeans_dictionary={"k": 7, "seed": 5})
    assert classified_copy.current("kmeans_dictionary").name != before
    assert len(classified_copy.table("kmeans_dictionary")) == 7
    found = predict(classified_copy, [image_folder / name for name in expected])
    assert found == list(expected.values())
    # New encodings make no difference either, as long as the classifier is the old one.
    classified_copy.run(None, "bow_encodings", bow_encodings={"pooling": "max"})
    found = predict(classified_copy, [image_folder / name for name in expected])
    assert found == list(expected.values())


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("asset", "pattern", "harm"),
    [
        ("image_classifier", "classifier.npz", damage),
        ("image_classifier", "classifier.npz", Path.unlink),
        ("kmeans_dictionary", "*.parquet", damage),
        ("kmeans_dictionary", "*.parquet", Path.unlink),
    ],
)
def test_damaged_files_are_named(classified_copy: Runner, asset: str, pattern: str, harm: Any) -> None:
    uri = classified_copy.current(asset).uri
    for file in Path(uri).glob(pattern):
        harm(file)
    with pytest.raises(UserError) as error:
        predict(classified_copy, [images.textured()])
    message = str(error.value)
    assert uri in message
    assert f"Materialize {asset} again" in message
    assert len(message.splitlines()) <= 2


def test_a_dictionary_that_is_gone_is_named(classified_copy: Runner) -> None:
    shutil.rmtree(classified_copy.data / "kmeans_dictionary")
    with pytest.raises(UserError, match="gone: kmeans_dictionary"):
        predict(classified_copy, [images.textured()])


def test_the_command_prints_a_line_per_image(
    on_classified: Runner,
    classified: tuple[Runner, dict[str, Prediction]],
    image_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, expected = classified
    chosen = [image_folder / name for name in list(expected)[3:6]]
    assert main(["predict", *map(str, chosen)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{file}: {found.labels[0]} {found.scores[0]:.3f}"
        for file, found in zip(chosen, list(expected.values())[3:6], strict=True)
    ]


def test_the_command_prints_json(
    on_classified: Runner,
    classified: tuple[Runner, dict[str, Prediction]],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, expected = classified
    name = next(iter(expected))
    file, missing = image_folder / name, tmp_path / 'é "quoted".jpg'
    assert main(["predict", "--json", "--top", "2", str(missing), str(file)]) == 1
    printed = capsys.readouterr()
    error, found = map(json.loads, printed.out.splitlines())
    assert error == {
        "image": str(missing),
        "label": None,
        "score": None,
        "top": [],
        "keypoints": 0,
        "error": "the file cannot be read: No such file or directory",
    }
    assert found["image"] == str(file)
    assert found["error"] is None
    assert (found["label"], found["score"]) == (expected[name].labels[0], expected[name].scores[0])
    assert [each["label"] for each in found["top"]] == sorted(
        ["cats", "dogs"], key=lambda label: label != found["label"]
    )
    assert found["top"][0]["score"] == found["score"] >= found["top"][1]["score"]
    assert printed.err == "1 of 2 images could not be read.\n"


def test_the_command_takes_folders(
    on_classified: Runner,
    classified: tuple[Runner, dict[str, Prediction]],
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, expected = classified
    folder = tmp_path / "folder"
    shutil.copytree(image_folder, folder / "deep" / "er")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.jpg").write_bytes(images.jpeg())
    (folder / "Z.PNG").write_bytes(images.encoded(images.flat(), "PNG"))
    assert main(["predict", "--json", str(folder)]) == 0
    found = {Path(each["image"]): each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(found) == sorted(found)
    assert set(found) == {folder / "deep" / "er" / name for name in expected} | {folder / "Z.PNG"}
    for name, each in expected.items():
        assert found[folder / "deep" / "er" / name]["score"] == each.scores[0]


def test_the_command_on_a_folder_without_images(
    on_classified: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert main(["predict", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(tmp_path) in printed.err
    assert len(printed.err.splitlines()) == 1


def test_the_command_on_a_missing_file(
    on_classified: Runner, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next(image_folder.rglob("*.jpg"))
    assert main(["predict", "no such file.jpg", str(file)]) == 1
    printed = capsys.readouterr()
    first, second = printed.out.splitlines()
    assert first == "no such file.jpg: the file cannot be read: No such file or directory"
    assert second.startswith(f"{file}: ")
    assert printed.err == "1 of 2 images could not be read.\n"


@pytest.mark.parametrize("top", ["0", "-1"])
def test_the_command_wants_one_class_or_more(
    on_classified: Runner, image_folder: Path, top: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--top", top, str(image_folder)]) == 1
    assert capsys.readouterr().err == f"top={top}: ask for 1 class or more\n"


def test_the_command_without_a_classifier(
    filled: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(filled.data))
    assert main(["predict", "a.jpg"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Materialize image_classifier first" in printed.err


def test_the_command_needs_neither_spark_nor_dagster(
    classified: tuple[Runner, dict[str, Prediction]], image_folder: Path
) -> None:
    pipeline, expected = classified
    code = """
import sys
from vision_assets.cli import main
status = main(["predict", "--json", *sys.argv[1:]])
heavy = {"dagster", "dagster_pyspark", "pyspark", "py4j", "matplotlib"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
raise SystemExit(status)
"""
    files = [str(image_folder / name) for name in expected]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *files],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {settings.DATA: str(pipeline.data)},
    )
    assert (result.returncode, result.stderr) == (0, "")
    *lines, imported = result.stdout.splitlines()
    assert imported == "[]"
    found = [json.loads(line) for line in lines]
    # Another process, with as many threads as it likes: the same bits.
    assert [(each["label"], each["score"]) for each in found] == [
        (each.labels[0], each.scores[0]) for each in expected.values()
    ]


def test_a_uri_of_hadoop_is_read_through_spark(
    classified: tuple[Runner, dict[str, Prediction]], spark: SparkSession, image_folder: Path
) -> None:
    pipeline, expected = classified
    spark.sparkContext._jsc.hadoopConfiguration().set(
        "fs.viewfs.mounttable.predictions.link./data", pipeline.data.as_uri()
    )
    name = next(iter(expected))
    found = prediction.predict(image_folder / name, data_folder="viewfs://predictions/data")
    assert list(found) == [expected[name]]


def test_a_classifier_that_is_replaced_while_it_is_read(
    classified: tuple[Runner, dict[str, Prediction]],
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(classified[0].data, tmp_path / "data")
    pipeline = Runner(tmp_path / "data")
    older = pipeline.current("image_classifier")
    read = SnapshotStore.read

    def read_late(store: SnapshotStore, snapshot: Snapshot, file: str) -> bytes:
        if pipeline.current("image_classifier") == older:
            replace_by_a_copy(pipeline.store, older)
        return read(store, snapshot, file)

    monkeypatch.setattr(SnapshotStore, "read", read_late)
    image = next(image_folder.rglob("*.jpg"))
    assert predict(pipeline, image) == predict(classified[0], image)
    assert not pipeline.store.has(older)


def replace_by_a_copy(store: SnapshotStore, snapshot: Snapshot) -> None:
    """Commit a newer snapshot of the same content, and remove this one."""
    pending = store.begin((snapshot.asset,), "newer", snapshot.inputs)
    shutil.copytree(snapshot.uri, pending.uri)
    of_the_run = ("code_version", "config", "counts", "check_results", "keys", "rows", "seconds", "version")
    store.commit(pending, run_id="newer", **{name: getattr(snapshot, name) for name in of_the_run})
    store.prune((snapshot.asset,), 1)
