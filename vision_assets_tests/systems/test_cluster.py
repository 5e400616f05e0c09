"""The pipeline on Spark's own cluster, whose workers have nothing of this project."""

import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.pipeline import ALL_ASSETS, UP_TO_ENCODINGS, Runner, require_same_tables
from vision_assets_tests.servers.hdfs import hdfs
from vision_assets_tests.servers.jvm import spark_home
from vision_assets_tests.servers.loopback import HOST, free_ports
from vision_assets_tests.servers.spark_cluster import SparkCluster, worker_python
from vision_assets_tests.servers.yarn import yarn
from vision_assets_tests.systems.conftest import Elsewhere
from vision_assets_tests.systems.processes import begin, materialize, output, require_success

pytestmark = pytest.mark.storage("Spark's own cluster")
ROOT = Path(__file__).parents[2]
# Some seconds of work for each asset, in many tasks.
CONFIG: dict[str, dict[str, Any]] = {
    "image_seqfile": {"reader": "workers"},
    "sift_features": {"partitions": 24},
    "kmeans_dictionary": {"k": 50, "max_iter": 6, "tol": 0.0},
    "image_classifier": {"splits": 2, "max_iter": 8},
}
MADE_WHILE_RUNNING = {
    "image_seqfile": "image_seqfile/*/part-*",
    "sift_features": "sift_features/*/part-*.parquet",
    "kmeans_dictionary": "kmeans_dictionary/_checkpoints/*",
    "bow_encodings": "bow_encodings/*/part-*.parquet",
}
"""The files that are there once some of an asset's work is done."""
SAID_WHILE_RUNNING = {
    "image_classifier": "images to train on in each split",
    "image_predictions": "image_predictions      reading",
    "classification_report": "classification_report  reading",
}
"""What an asset without such files says before most of its work."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "images"
    write_sample_images(folder, images_per_class=12)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Runner:
    """What a run on this machine makes."""
    folder = tmp_path_factory.mktemp("expected")
    require_success(run_in(folder, images, ALL_ASSETS, {settings.SPARK_MASTER: "local[2]"}), folder)
    return made_in(folder)


def run_in(
    folder: Path, images: Path, assets: tuple[str, ...], environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Begin a run whose data folder is in a folder."""
    config = CONFIG | {"image_seqfile": CONFIG["image_seqfile"] | {"source": str(images)}}
    return begin(folder, materialize(assets, config), str(folder / "data"), environment)


def made_in(folder: Path) -> Runner:
    return Runner(folder / "data")


def wait_until(happened: Callable[[], bool], run: "subprocess.Popen[bytes]", folder: Path) -> None:
    while not happened():
        assert run.poll() is None, output(folder)
        time.sleep(0.05)  # between two looks


def is_running(asset: str, folder: Path) -> bool:
    if asset in MADE_WHILE_RUNNING:
        return any((folder / "data").glob(MADE_WHILE_RUNNING[asset]))
    return SAID_WHILE_RUNNING[asset] in output(folder)


def test_the_workers_have_nothing_of_this_project(cluster: SparkCluster) -> None:
    for module in ("vision_assets", "dagster", "pyspark"):
        found = subprocess.run(
            [cluster.python, "-I", "-c", f"import {module}"], capture_output=True, check=False
        )
        assert b"ModuleNotFoundError" in found.stderr


def test_a_cluster_makes_the_same_bits(
    cluster: SparkCluster, images: Path, expected: Runner, tmp_path: Path
) -> None:
    require_success(run_in(tmp_path, images, UP_TO_ENCODINGS, cluster.environment), tmp_path)
    assert "Spark runs on 4 cores" in output(tmp_path)
    require_same_tables(made_in(tmp_path), expected)


def test_two_runs_share_a_cluster(
    cluster: SparkCluster, images: Path, expected: Runner, tmp_path: Path
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.cores.max 2")
    share = cluster.environment | {"SPARK_CONF_DIR": str(tmp_path)}
    folders = [tmp_path / "one", tmp_path / "two"]
    runs = [run_in(folder, images, UP_TO_ENCODINGS, share) for folder in folders]
    for run, folder in zip(runs, folders, strict=True):
        require_success(run, folder)
        assert "Spark runs on 2 cores" in output(folder)
        require_same_tables(made_in(folder), expected)


def test_a_run_that_another_leaves_no_core_says_so_and_waits(
    cluster: SparkCluster, images: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    holds = run_in(first, images, ("image_seqfile",), cluster.environment)
    wait_until(lambda: "Spark runs on 4 cores" in output(first), holds, first)
    holds.send_signal(signal.SIGSTOP)
    try:
        waits = run_in(second, images, ("image_seqfile",), cluster.environment)
        wait_until(lambda: "Spark has no executor yet" in output(second), waits, second)
    finally:
        holds.send_signal(signal.SIGCONT)
    require_success(holds, first)
    require_success(waits, second)


def test_the_loss_of_a_worker_during_any_asset_costs_no_run(
    cluster: SparkCluster, images: Path, expected: Runner, tmp_path: Path
) -> None:
    made = made_in(tmp_path)
    run = run_in(tmp_path, images, ALL_ASSETS, cluster.environment)
    for number, asset in enumerate(each for each in ALL_ASSETS if each != "image_labels"):  # it is too short
        wait_until(partial(is_running, asset, tmp_path), run, tmp_path)
        assert made.store.current((asset,)) is None, f"{asset} was done already"
        # The worker that was lost during the asset before has been away since.
        cluster.workers[1 - number % 2].launch()
        cluster.lose(number % 2)
    require_success(run, tmp_path)
    cluster.start()
    require_same_tables(made, expected, *ALL_ASSETS)


def test_a_master_that_does_not_answer_is_named() -> None:
    """After the minute that Spark tries it."""
    (port,) = free_ports(1)
    code = (
        "from vision_assets.spark.diagnosis import diagnose\n"
        "from vision_assets.spark.session import start_session\n"
        "try: start_session()\n"
        "except Exception as error: print(diagnose(error).text)\n"
    )
    environment = os.environ | {settings.SPARK_MASTER: f"spark://{HOST}:{port}"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert b"VISION_ASSETS_SPARK_MASTER right, and is the cluster up?" in run.stdout


def test_make_starts_a_cluster_and_ends_it(images: Path, expected: Runner, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    make = ["make", "-s", f"CLUSTER_PORT={port}"]
    assert not list(ROOT.glob(".cluster/*.pid")), "a cluster runs: make cluster-stop ends it"
    subprocess.run([*make, "cluster"], cwd=ROOT, check=True)
    try:
        assert (ROOT / ".cluster" / "master.log").read_text().count("Registering worker") == 2
        theirs = {
            settings.SPARK_MASTER: f"spark://{HOST}:{port}",
            "SPARK_CONF_DIR": str(ROOT / ".cluster"),
            # As make has it.
            "PYSPARK_PYTHON": sys.executable,
        }
        assets = UP_TO_ENCODINGS[:2]
        require_success(run_in(tmp_path, images, assets, theirs), tmp_path)
        require_same_tables(made_in(tmp_path), expected, *assets)
    finally:
        subprocess.run([*make, "cluster-stop"], cwd=ROOT, check=True)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port)).close()


def test_make_does_not_move_a_cluster_to_another_port() -> None:
    """Users would not find it there."""
    with socket.create_server((HOST, 0)) as taken:
        make = ["make", "-s", f"CLUSTER_PORT={taken.getsockname()[1]}", "cluster"]
        made = subprocess.run(make, cwd=ROOT, capture_output=True, check=False)
    assert made.returncode != 0
    assert b"is taken; choose another with CLUSTER_PORT" in made.stderr
    assert not list(ROOT.glob(".cluster/*.pid"))


@pytest.mark.storage("YARN")
def test_yarn_with_all_on_hdfs_makes_the_same_bits(
    images: Path, expected: Runner, spark: SparkSession, tmp_path: Path
) -> None:
    """Nothing is on the nodes but Python, Java and Spark's jars: an archive brings the libraries.

    That Spark's jars come from an archive too, as in docs/cluster.md, takes a minute more.
    """
    workers = tmp_path / "workers.tar.gz"
    with tarfile.open(workers, "w:gz", compresslevel=1) as archive:
        archive.add(worker_python().parents[1], ".")
    (tmp_path / "spark-defaults.conf").write_text(
        f"""
        spark.yarn.dist.archives hdfs:///environments/workers.tar.gz#environment
        spark.pyspark.python ./environment/bin/python
        spark.yarn.jars local:{spark_home()}/jars/*
        spark.executor.instances 2
        spark.executor.memoryOverhead 1g
        """
    )
    with hdfs(tmp_path / "hdfs") as storage, yarn(tmp_path / "yarn", storage.uri) as cluster:
        storage.put([workers], "/environments")
        storage.put([images], "/source")
        environment = {
            settings.SPARK_MASTER: "yarn",
            "HADOOP_CONF_DIR": str(cluster.configuration),
            "SPARK_CONF_DIR": str(tmp_path),
        }
        command = materialize(
            UP_TO_ENCODINGS, CONFIG | {"image_seqfile": {"source": "hdfs:///source/images"}}
        )
        run = begin(tmp_path / "run", command, "hdfs:///data", environment)
        require_success(run, tmp_path / "run")
        assert "starting Spark on yarn" in output(tmp_path / "run")
        require_same_tables(Elsewhere(f"{storage.uri}/data", spark), expected)
