import threading
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.defs.resources import make_resources
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.features import extract
from vision_assets.steps.images import ImageStore
from vision_assets.vision.features.codecs import descriptor_matrix
from vision_assets.vision.features.sift import SiftOptions
from vision_assets_tests.pipeline import UP_TO_ENCODINGS as ASSETS
from vision_assets_tests.pipeline import WORDS, Runner, defs, read_table
from vision_assets_tests.vision import images


def test_the_complete_graph(filled: Runner, image_folder: Path) -> None:
    names = sorted(str(file.relative_to(image_folder)) for file in image_folder.rglob("*.jpg"))
    table = filled.table("sift_features")
    assert table["fileName"].tolist() == names
    assert set(table["label"]) == {"cats", "dogs"}
    dictionary = filled.table("kmeans_dictionary")
    assert dictionary["wordId"].tolist() == list(range(WORDS))
    assert dictionary["descriptorCount"].sum() == table["keypointCount"].sum()
    encodings = filled.table("bow_encodings")
    assert encodings["fileName"].tolist() == names
    assert {len(bow) for bow in encodings["bow"]} == {WORDS}


def test_a_run_leaves_nothing_but_snapshots(filled: Runner) -> None:
    for asset in ASSETS:
        name = filled.current(asset).name
        left = {str(path.relative_to(filled.data / asset)) for path in (filled.data / asset).glob("*")}
        assert left == {"_snapshots", name}
        assert len(list((filled.data / asset / "_snapshots").iterdir())) == 1


def test_encodings_are_the_pooled_distances(filled: Runner) -> None:
    centers = np.stack(filled.table("kmeans_dictionary")["center"].to_list()).astype(float)
    for cell, bow in zip(
        filled.table("sift_features")["descriptors"], filled.table("bow_encodings")["bow"], strict=True
    ):
        distances = np.sqrt(np.square(descriptor_matrix(cell)[:, None] - centers).sum(axis=2))
        expected = np.zeros(WORDS)
        np.add.at(expected, distances.argmin(axis=1), distances.min(axis=1))
        np.testing.assert_allclose(bow, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def again(
    tmp_path_factory: pytest.TempPathFactory, image_folder: Path, spark: SparkSession
) -> tuple[Runner, dg.ExecuteInProcessResult]:
    """A second run in other partitions and to a folder of an odd name. Only for reading."""
    pipeline = Runner(tmp_path_factory.mktemp("again") / "tables [new] {a,b} 100% é#?")
    return pipeline, pipeline.run(image_folder, sift_features={"partitions": 3})


def test_reruns_give_identical_tables_in_other_partitions_and_in_any_folder(
    filled: Runner, again: tuple[Runner, dg.ExecuteInProcessResult]
) -> None:
    for asset in ASSETS[1:]:
        pd.testing.assert_frame_equal(again[0].table(asset), filled.table(asset), check_exact=True)


def test_one_asset_is_rerun_alone_from_the_stored_tables(filled_copy: Runner) -> None:
    pipeline = filled_copy
    before = {asset: pipeline.current(asset) for asset in ASSETS}
    pipeline.run(None, "bow_encodings", bow_encodings={"pooling": "max", "normalization": "l2"})
    after = pipeline.current("bow_encodings")
    assert after.sequence == before["bow_encodings"].sequence + 1
    assert after.config == {"pooling": "max", "normalization": "l2", "full_refresh": False}
    assert after.inputs == {asset: before[asset].name for asset in ("sift_features", "kmeans_dictionary")}
    assert [pipeline.current(asset) for asset in ASSETS[:3]] == [before[asset] for asset in ASSETS[:3]]


def test_metadata_of_every_asset(pipeline: Runner, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "notes.txt").write_text("no image")
    (source / "a.jpg").write_bytes(images.jpeg(images.colored(200, 300)))
    result = pipeline.run(source)
    found = {asset: pipeline.metadata(result, asset) for asset in ASSETS}
    for asset, metadata in found.items():
        assert metadata["dagster/row_count"] == pipeline.current(asset).rows
        assert metadata["dagster/uri"] == pipeline.current(asset).uri
        assert metadata["seconds"] > 0
        assert metadata["code_version"] == SPECS[asset].code_version
        assert Path(metadata["dagster/uri"]).is_dir()
    assert found["image_seqfile"]["images"] == 1
    assert found["image_seqfile"]["skipped"] == 1
    assert [record["name"] for record in found["image_seqfile"]["skipped_first"]] == ["notes.txt"]
    assert found["sift_features"]["failures"] == 0
    descriptors = found["sift_features"]["descriptors"]
    dictionary = found["kmeans_dictionary"]
    assert dictionary["descriptors"] == dictionary["training_descriptors"] == descriptors > 0
    assert 0 < dictionary["smallest_word_size"] <= dictionary["largest_word_size"]
    inertia = [record["inertia"] for record in dictionary["inertia_of_every_iteration"]]
    assert len(inertia) == dictionary["iterations"] + 1
    assert inertia == sorted(inertia, reverse=True)
    assert inertia[-1] == dictionary["inertia"]
    assert found["bow_encodings"]["words"] == WORDS
    assert found["bow_encodings"]["config"]["pooling"] == "sum"
    assert found["bow_encodings"]["made_from_sift_features"] == pipeline.current("sift_features").name


def test_blocking_checks_ran_and_passed(again: tuple[Runner, dg.ExecuteInProcessResult]) -> None:
    evaluations = again[1].get_asset_check_evaluations()
    assert all(evaluation.passed for evaluation in evaluations)
    names = {(e.asset_key.to_user_string(), e.check_name) for e in evaluations}
    assert {
        ("image_seqfile", "unique_keys"),
        ("sift_features", "same_keys_as_upstream"),
        ("sift_features", "same_images_as_upstream"),
        ("kmeans_dictionary", "k_centers"),
        ("bow_encodings", "finite_and_non_negative"),
    } <= names


@pytest.mark.parametrize("asset", ASSETS[1:])
def test_tables_open_in_every_reader_of_parquet(filled: Runner, spark: SparkSession, asset: str) -> None:
    snapshot = filled.current(asset)
    assert len(pd.read_parquet(snapshot.uri)) == snapshot.rows
    assert pl.read_parquet(snapshot.uri).height == snapshot.rows
    assert spark.read.parquet(snapshot.uri).count() == snapshot.rows
    counted = duckdb.execute(f"select count(*) from '{snapshot.uri}/*.parquet'").fetchall()
    assert counted == [(snapshot.rows,)]


@dg.asset(name="sift_features", io_manager_key="parquet")
def broken_features(image_seqfile: ImageStore) -> MappedRows:
    """Six partitions, so that some are written before the one that fails."""
    images = image_seqfile.table().repartition(6)
    # Not in Python, whose worker would import this module, and Dagster with it, at each attempt.
    fails = F.raise_error(F.lit("this task fails"))
    name = F.when(F.spark_partition_id() == 5, fails).otherwise(F.col("fileName"))
    return extract(images.withColumn("fileName", name), SiftOptions())


@dg.asset(name="sift_features", io_manager_key="parquet")
def miscounted_features(image_seqfile: ImageStore) -> DataFrame:
    """In some rows the descriptors are fewer than the count says."""
    features = extract(image_seqfile.table(), SiftOptions()).to_frame()
    return features.withColumn("keypointCount", F.expr("keypointCount + int(fileName like '%1.%')"))


@pytest.mark.parametrize(
    ("asset", "reason"),
    [
        (broken_features, "this task fails"),
        (miscounted_features, "not stored because it violates sizes_match."),
    ],
)
def test_a_write_that_fails_harms_nothing(
    filled_copy: Runner, asset: dg.AssetsDefinition, reason: str
) -> None:
    pipeline = filled_copy
    before = pipeline.current("sift_features")
    rows = pipeline.table("sift_features")
    result = dg.materialize(
        [defs.get_assets_def("image_seqfile"), asset],
        selection=dg.AssetSelection.assets("sift_features"),
        resources=make_resources(str(pipeline.data)),
        raise_on_error=False,
    )
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert reason in str(failure.event_specific_data)
    assert pipeline.current("sift_features") == before
    pd.testing.assert_frame_equal(read_table(Path(before.uri)), rows)
    left = {path.name for path in (pipeline.data / "sift_features").iterdir()}
    assert left == {"_snapshots", before.name}


def test_two_runs_of_one_asset_at_once(filled_copy: Runner) -> None:
    pipeline = filled_copy
    (before,) = pipeline.store.snapshots(("kmeans_dictionary",))
    results: list[dg.ExecuteInProcessResult] = []

    def run(seed: int) -> None:
        # Two runs of one instance in one process would lock each other out of its database.
        with dg.DagsterInstance.ephemeral() as instance:
            config = {"k": 10, "seed": seed}
            results.append(
                pipeline.run(None, "kmeans_dictionary", kmeans_dictionary=config, instance=instance)
            )

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    first, *snapshots = pipeline.store.snapshots(("kmeans_dictionary",))
    assert first == before
    assert {snapshot.config["seed"] for snapshot in snapshots} == {1, 2}
    for snapshot in snapshots:
        assert len(read_table(Path(snapshot.uri))) == 10


def test_old_snapshots_are_removed_but_none_that_is_still_named(filled_copy: Runner) -> None:
    pipeline = filled_copy
    first = pipeline.current("sift_features")
    full = {"full_refresh": True}
    for _ in range(3):
        pipeline.run(None, "sift_features", keep=2, sift_features=full)
    kept = [snapshot.name for snapshot in pipeline.store.snapshots(("sift_features",))]
    assert len(kept) == 3
    assert kept[0] == first.name, "the dictionary and the encodings were made from it"
    pipeline.run(None, "kmeans_dictionary", "bow_encodings", keep=2)
    assert pipeline.store.has(first), "both are kept, and what they were made from"
    pipeline.run(None, "kmeans_dictionary", "bow_encodings", kmeans_dictionary=full, bow_encodings=full)
    pipeline.run(None, "sift_features", keep=2, sift_features=full)
    kept = [snapshot.name for snapshot in pipeline.store.snapshots(("sift_features",))]
    assert first.name not in kept
    assert not Path(first.uri).exists()
