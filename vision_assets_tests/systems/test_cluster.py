"""The pipeline on Spark's own cluster, whose workers have nothing of this project."""

import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from vision_assets import settings
from vision_assets.vision.classifier import CLASSIFIER_FILE, classifier_from_npz
from vision_assets.vision.samples import write_sample_images
from vision_assets_tests.pipeline import ALL_ASSETS, UP_TO_ENCODINGS, Pipeline
from vision_assets_tests.servers.jvm import spark_home
from vision_assets_tests.servers.loopback import HOST, free_ports
from vision_assets_tests.servers.spark_cluster import SparkCluster, spark_cluster, worker_python
from vision_assets_tests.servers.yarn import yarn

pytestmark = pytest.mark.storage("Spark's own cluster")
ROOT = Path(__file__).parents[2]
# Some seconds of work for each asset, in many tasks.
CONFIG = {
    "sift_features": {"partitions": 24},
    "kmeans_dictionary": {"k": 50, "max_iter": 6, "tol": 0.0},
    "image_classifier": {"splits": 2, "max_iter": 8},
}
AMID = {
    "image_seqfile": "image_seqfile/*/part-*",
    "sift_features": "sift_features/*/part-*.parquet",
    "kmeans_dictionary": "kmeans_dictionary/_checkpoints/*",
    "bow_encodings": "bow_encodings/*/part-*.parquet",
}
"""The files that are there once some of an asset's work is done."""
SAID_AMID = {
    "image_classifier": "images to train on in each split",
    "classification_report": "classification_report - reading",
}
"""What an asset without such files says before most of its work."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "images"
    write_sample_images(folder, images_per_class=12)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Pipeline:
    """What a run on this machine makes."""
    data = tmp_path_factory.mktemp("expected") / "data"
    run = begin(data, images, ALL_ASSETS, {settings.SPARK_MASTER: "local[2]"})
    assert run.wait() == 0, output(data)
    return Pipeline(data)


def begin(
    data: Path,
    source: Path,
    assets: tuple[str, ...],
    environment: dict[str, str],
    chosen: Mapping[str, Any] = CONFIG,
) -> "subprocess.Popen[bytes]":
    chosen = {"image_seqfile": {"source": str(source)}, **chosen}
    config = {"ops": {asset: {"config": chosen[asset]} for asset in assets if asset in chosen}}
    command = [
        "dagster",
        "asset",
        "materialize",
        "--select",
        ",".join(assets),
        "-m",
        "vision_assets.definitions",
    ]
    with data.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command, "--config-json", json.dumps(config)],
            cwd=ROOT,
            env=os.environ
            | {settings.DATA: str(data), settings.PICTURES: "no", "PYTHONWARNINGS": "ignore::FutureWarning"}
            | environment,
            stdout=log,
            stderr=log,
        )


def output(data: Path) -> str:
    return data.with_suffix(".log").read_text()[-3000:]


def is_amid(asset: str, data: Path) -> bool:
    if asset in AMID:
        return any(data.glob(AMID[asset]))
    return SAID_AMID[asset] in data.with_suffix(".log").read_text()


def on(cluster: SparkCluster) -> dict[str, str]:
    return {settings.SPARK_MASTER: cluster.master, "PYSPARK_PYTHON": str(cluster.python)}


def require_same_tables(made: Pipeline, expected: Pipeline) -> None:
    for asset in UP_TO_ENCODINGS[1:]:
        pd.testing.assert_frame_equal(made.table(asset), expected.table(asset), check_exact=True)


def require_same_classification(made: Pipeline, expected: Pipeline) -> None:
    np.testing.assert_array_equal(models(made), models(expected))
    report = "classification_report"
    pd.testing.assert_frame_equal(made.table(report), expected.table(report), check_exact=True)


def models(made: Pipeline) -> NDArray[np.float64]:
    file = made.store.read(made.current("image_classifier"), CLASSIFIER_FILE)
    classifier = classifier_from_npz(file)
    return np.dstack([classifier.weights, classifier.intercepts])


def test_the_workers_have_nothing_of_this_project(cluster: SparkCluster) -> None:
    for module in ("vision_assets", "dagster", "pyspark"):
        found = subprocess.run(
            [cluster.python, "-I", "-c", f"import {module}"], capture_output=True, check=False
        )
        assert b"ModuleNotFoundError" in found.stderr


def test_a_cluster_makes_the_same_bits(
    cluster: SparkCluster, images: Path, expected: Pipeline, tmp_path: Path
) -> None:
    run = begin(tmp_path / "data", images, UP_TO_ENCODINGS, on(cluster))
    assert run.wait() == 0, output(tmp_path / "data")
    assert "Spark runs on 2 cores" in (tmp_path / "data.log").read_text()
    require_same_tables(Pipeline(tmp_path / "data"), expected)


def test_the_loss_of_a_worker_amid_any_asset_costs_no_run(
    cluster: SparkCluster, images: Path, expected: Pipeline, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    made = Pipeline(data)
    run = begin(data, images, ALL_ASSETS, on(cluster))
    for number, asset in enumerate(ALL_ASSETS):
        while not is_amid(asset, data):
            assert run.poll() is None, output(data)
            time.sleep(0.05)  # between two looks
        assert made.store.current((asset,)) is None, f"{asset} was done already"
        cluster.lose(number % 2)
        cluster.workers[number % 2].launch()
    assert run.wait() == 0, output(data)
    require_same_tables(made, expected)
    require_same_classification(made, expected)


def test_make_starts_a_cluster_and_ends_it() -> None:
    (port,) = free_ports(1)
    make = ["make", "-s", f"CLUSTER_PORT={port}"]
    assert not list(ROOT.glob(".cluster/*.pid")), "a cluster runs: make cluster-stop ends it"
    subprocess.run([*make, "cluster"], cwd=ROOT, check=True)
    try:
        assert (ROOT / ".cluster" / "master.log").read_text().count("Registering worker") == 2
        socket.create_connection((HOST, port)).close()
    finally:
        subprocess.run([*make, "cluster-stop"], cwd=ROOT, check=True)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port)).close()


@pytest.mark.storage("YARN")
def test_yarn_with_a_packed_environment_makes_the_same_bits(
    images: Path, expected: Pipeline, tmp_path: Path
) -> None:
    """Nothing is on the nodes but Python and Java: an archive brings the libraries."""
    packed = tmp_path / "environment.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(worker_python().parents[1], ".")
    (tmp_path / "spark-defaults.conf").write_text(
        f"""
        spark.yarn.dist.archives {packed}#environment
        spark.pyspark.python ./environment/bin/python
        spark.executor.instances 2
        spark.executor.memoryOverhead 1g
        spark.yarn.jars local:{spark_home()}/jars/*
        spark.yarn.stagingDir {tmp_path}/staging
        """
    )
    with yarn(tmp_path / "yarn") as cluster:
        environment = {
            settings.SPARK_MASTER: "yarn",
            "HADOOP_CONF_DIR": str(cluster.configuration),
            "SPARK_CONF_DIR": str(tmp_path),
        }
        run = begin(tmp_path / "data", images, UP_TO_ENCODINGS, environment)
        assert run.wait() == 0, output(tmp_path / "data")
    assert "starting Spark on yarn" in (tmp_path / "data.log").read_text()
    require_same_tables(Pipeline(tmp_path / "data"), expected)
