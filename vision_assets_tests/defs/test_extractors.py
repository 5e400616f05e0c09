"""Each extractor's pipeline, beside SIFT's."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from vision_assets.cli import main
from vision_assets.pipelines import PIPELINES, STEPS, Pipeline
from vision_assets.prediction import predict
from vision_assets.steps.features import extract
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.features.codecs import descriptor_matrix
from vision_assets.vision.features.surf import SurfOptions
from vision_assets_tests.pipeline import Runner
from vision_assets_tests.vision import images

# They have most in common with SIFT's, which `make test` runs.
OTHERS = [
    pytest.param(pipeline_spec, marks=pytest.mark.whole, id=name)
    for name, pipeline_spec in PIPELINES.items()
    if name != "sift"
]
K = 12
SHARED = ("image_seqfile", "image_labels")


def settings_of(pipeline_spec: Pipeline, **features: Any) -> dict[str, Any]:
    return {
        pipeline_spec.asset("features"): features,
        pipeline_spec.asset("dictionary"): {"k": K, "max_iter": 3},
        pipeline_spec.asset("classifier"): {"splits": 2, "max_iter": 8, "train_per_class": 4},
    }


def run(pipeline: Runner, source: Path | None, pipeline_spec: Pipeline, *assets: str, **features: Any) -> Any:
    wanted = assets or (*SHARED, *pipeline_spec.assets)
    return pipeline.run(source, *wanted, **settings_of(pipeline_spec, **features))


@pytest.fixture(scope="module", params=OTHERS)
def pipeline_spec(request: pytest.FixtureRequest) -> Pipeline:
    return request.param


@pytest.fixture(scope="module")
def some_images(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """Those of `image_folder`, one that cannot be read, and one without features."""
    folder = tmp_path_factory.mktemp("some")
    for file in image_folder.rglob("*.jpg"):
        (folder / file.parent.name).mkdir(exist_ok=True)
        (folder / file.parent.name / file.name).write_bytes(file.read_bytes())
    (folder / "cats" / "broken.jpg").write_bytes(b"no image")
    (folder / "dogs" / "flat.png").write_bytes(images.encoded(images.flat(20, 20), "PNG"))
    return folder


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, some_images: Path, spark: object, pipeline_spec: Pipeline
) -> Runner:
    pipeline = Runner(tmp_path_factory.mktemp(pipeline_spec.name) / "data")
    run(pipeline, some_images, pipeline_spec)
    return pipeline


@pytest.fixture(scope="module")
def again(
    tmp_path_factory: pytest.TempPathFactory, some_images: Path, spark: object, pipeline_spec: Pipeline
) -> tuple[Runner, dg.ExecuteInProcessResult]:
    """A second run, in other partitions and with pictures."""
    pipeline = Runner(tmp_path_factory.mktemp(f"{pipeline_spec.name} again") / "data")
    config = settings_of(pipeline_spec, partitions=5)
    return pipeline, pipeline.run(some_images, *SHARED, *pipeline_spec.assets, pictures=True, **config)


def test_every_image_has_one_row(made: Runner, pipeline_spec: Pipeline) -> None:
    features = made.table(pipeline_spec.asset("features")).set_index("fileName")
    assert len(features) == 14
    assert features.loc["cats/broken.jpg", "error"]
    assert features["error"].isna().sum() == 13
    assert features.loc["dogs/flat.png", "keypointCount"] == 0
    for count, cell in zip(features["keypointCount"], features["descriptors"], strict=True):
        matrix = descriptor_matrix(
            cell, EXTRACTORS[pipeline_spec.name].length, EXTRACTORS[pipeline_spec.name].dtype
        )
        assert len(matrix) == count
    encodings = made.table(pipeline_spec.asset("encodings"))
    assert encodings["fileName"].tolist() == sorted(features.index)
    assert {len(bow) for bow in encodings["bow"]} == {K}
    assert made.current(pipeline_spec.asset("report")).counts["classes"] == 2


def test_nothing_of_it_is_sifts(made: Runner, pipeline_spec: Pipeline) -> None:
    assert {"/".join(asset) for asset in made.store.assets()} == {*SHARED, *pipeline_spec.assets}
    for name in pipeline_spec.assets:
        assert all(read in {*SHARED, *pipeline_spec.assets} for read in made.current(name).inputs)


def test_partitions_change_no_bit(
    made: Runner, pipeline_spec: Pipeline, again: tuple[Runner, dg.ExecuteInProcessResult]
) -> None:
    other, _ = again
    for name in (
        pipeline_spec.asset("features"),
        pipeline_spec.asset("dictionary"),
        pipeline_spec.asset("encodings"),
        pipeline_spec.asset("predictions"),
        pipeline_spec.asset("report"),
    ):
        ours, theirs = made.table(name), other.table(name)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_only_new_images_are_extracted(
    made: Runner, pipeline_spec: Pipeline, some_images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "more"
    for file in some_images.rglob("*.*"):
        (folder / file.parent.name).mkdir(exist_ok=True, parents=True)
        (folder / file.parent.name / file.name).hardlink_to(file)
    data = Runner(tmp_path / "data")
    run(data, folder, pipeline_spec, "image_seqfile", pipeline_spec.asset("features"))
    (folder / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    result = run(data, folder, pipeline_spec, "image_seqfile", pipeline_spec.asset("features"))
    found = data.metadata(result, pipeline_spec.asset("features"))
    assert (found["reused"], found["extracted"]) == (14, 1)


def test_prediction_equals_the_pipeline(
    made: Runner,
    pipeline_spec: Pipeline,
    some_images: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
) -> None:
    files = sorted(some_images.rglob("image*.jpg"))
    found = list(predict(files, extractor=pipeline_spec.name, data_folder=made.data))
    encodings = made.table(pipeline_spec.asset("encodings")).set_index("fileName")
    assert [one.keypoints for one in found] == [
        encodings.loc[str(file.relative_to(some_images)), "descriptorCount"] for file in files
    ]
    assert sum(one.labels[0] == file.parent.name for one, file in zip(found, files, strict=True)) > 6
    monkeypatch.setenv("VISION_ASSETS_DATA", str(made.data))
    assert main(["predict", "--json", "--extractor", pipeline_spec.name, str(files[0])]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["label"], said["score"]) == (found[0].labels[0], found[0].scores[0])
    assert main(["summary", "--extractor", pipeline_spec.name]) == 0
    assert pipeline_spec.asset("encodings") in capsys.readouterr().out
    assert main(["predict", str(files[0])]) == 1
    assert "image_classifier" in capsys.readouterr().err


def test_an_unknown_extractor_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--extractor", "orb", "a.jpg"]) == 2
    assert "Choose one of sift, surf" in capsys.readouterr().err


def test_pictures_are_drawn(pipeline_spec: Pipeline, again: tuple[Runner, dg.ExecuteInProcessResult]) -> None:
    data, result = again
    pictures = {
        name
        for asset in pipeline_spec.assets
        for name in data.metadata(result, asset)
        if name.startswith("picture_")
    }
    assert {"picture_keypoints", "picture_visual_words", "picture_strongest_words"} <= pictures


@pytest.mark.whole
def test_a_dictionary_refuses_the_features_of_another_engine(
    some_images: Path, spark: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other engine is not there, so the words' features are made to say that they are of it."""
    pipeline_spec, data = PIPELINES["surf"], Runner(tmp_path / "data")
    monkeypatch.setattr(SurfOptions, "_opencv", SurfOptions._mahotas)
    # Workers do not know of that.
    module = sys.modules["vision_assets.defs.assets.features"]
    by_mahotas = lambda images, options: extract(images, replace(options, engine="mahotas"))  # noqa: E731
    monkeypatch.setattr(module, "extract", by_mahotas)
    run(
        data,
        some_images,
        pipeline_spec,
        "image_seqfile",
        pipeline_spec.asset("features"),
        pipeline_spec.asset("dictionary"),
        engine="opencv",
    )
    run(data, None, pipeline_spec, pipeline_spec.asset("features"))
    result = data.run(None, pipeline_spec.asset("encodings"), fail=True)
    error = data.error(result)
    assert "was trained on SURF of opencv" in error
    assert "are SURF of mahotas" in error
    assert "Materialize surf_kmeans_dictionary" in error
    run(data, None, pipeline_spec, pipeline_spec.asset("dictionary"), pipeline_spec.asset("encodings"))


def test_without_mahotas_all_but_surf_works() -> None:
    """In a process of its own, in which the module cannot be found."""
    code = (
        "import sys\n"
        "sys.modules['mahotas'] = None\n"
        "from vision_assets.definitions import defs\n"
        "from vision_assets.errors import UserError\n"
        "from vision_assets.vision.features import EXTRACTORS\n"
        "print(len(defs.resolve_asset_graph().get_all_asset_keys()))\n"
        "for name, extractor in EXTRACTORS.items():\n"
        "    try: extractor().build()\n"
        "    except UserError as error: print(name, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, *missing = said.splitlines()
    assert int(count) == len(STEPS)
    assert missing[0].startswith("surf ")
    assert ".[surf]" in said
    assert len([line for line in missing if line.split()[0] in PIPELINES]) == 1


def test_what_has_extracted_is_in_the_metadata(some_images: Path, spark: object, tmp_path: Path) -> None:
    data = Runner(tmp_path / "data")
    result = run(data, some_images, PIPELINES["surf"], "image_seqfile", "surf_features")
    found = data.metadata(result, "surf_features")
    assert found["extractor"] == "SURF of mahotas"
    assert found["mahotas"] == version("mahotas")
