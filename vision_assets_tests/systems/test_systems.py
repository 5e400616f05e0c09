"""The pipeline on HDFS, Swift, another S3 server and Alluxio: what holds on a local disk holds there."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.spark.jvm import hadoop_of
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps.sources.watch import look_at
from vision_assets_tests.pipeline import (
    ALL_ASSETS,
    ITERATIONS,
    UP_TO_ENCODINGS,
    WORDS,
    Runner,
    require_same_tables,
)
from vision_assets_tests.servers.spark_cluster import SparkCluster
from vision_assets_tests.systems import processes
from vision_assets_tests.systems.conftest import CHOSEN, CLASSIFIER, Elsewhere, Outage, System
from vision_assets_tests.systems.processes import materialize, output, require_success, until
from vision_assets_tests.vision import images

pytestmark = pytest.mark.storage
ROOT = Path(__file__).parents[2]
ONE_OF_EACH = pytest.mark.parametrize("system", ["hdfs", "swift"], indirect=True)
"""A file system, whose tasks rename what they wrote, and an object store, whose job completes uploads."""
ONE_OF_EACH_FIRST = pytest.mark.parametrize(
    "system",
    [pytest.param(name, marks=[] if name in ("hdfs", "swift") else pytest.mark.torture) for name in CHOSEN],
    indirect=True,
)
"""The others, which commit by the same code, only in `make torture`."""


def folders(pipeline: Elsewhere, asset: str) -> set[str]:
    """Names of all that is in an asset's folder, but its notes."""
    return set(pipeline.files.names(asset)) - {"_snapshots", "_history"}


def pending_uploads(pipeline: Elsewhere) -> list[str]:
    """Names of what was begun to be uploaded to an object store."""
    system, _ = pipeline.files._open("")
    if not pipeline.uri.startswith("s3a:"):
        return []
    uploads = system.listUploads("")
    found = []
    while uploads.hasNext():
        found.append(uploads.next().key())
    return found


def printed_settings(system: System) -> tuple[dict[str, str], dict[str, str]]:
    """Return a storage's properties and variables as docs/storage.md has them, with its address and keys."""
    if not system.uri.startswith("s3a:"):
        return {}, {}
    ours = {name.partition(f"{system.uri[6:]}.")[2]: value for name, value in system.properties.items()}
    section = (
        (ROOT / "docs" / "storage.md").read_text().partition("## Settings to copy")[2].partition("\n## ")[0]
    )
    printed = dict(re.findall(r"^    spark\.hadoop\.(fs\.s3a\.\S+) +(\S+)$", section, re.MULTILINE))
    assert set(printed) == {f"fs.s3a.{name}" for name in ("endpoint", "endpoint.region", "path.style.access")}
    keys = {"AWS_ACCESS_KEY_ID": ours["access.key"], "AWS_SECRET_ACCESS_KEY": ours["secret.key"]}
    assert all(f"`{name}`" in section for name in keys)
    return printed | {"fs.s3a.endpoint": ours["endpoint"]}, keys


def config_of(source: str) -> dict[str, Any]:
    return {
        "image_seqfile": {"source": source},
        "kmeans_dictionary": {"k": WORDS, "max_iter": ITERATIONS},
        "image_classifier": CLASSIFIER,
    }


def begin(
    folder: Path, system: System, data: str, command: list[str], **environment: str
) -> "subprocess.Popen[bytes]":
    """Start a process with the Spark configuration of a user of that storage."""
    folder.mkdir()
    lines = [f"spark.hadoop.{name} {value}" for name, value in system.properties.items()]
    (folder / "spark-defaults.conf").write_text("\n".join(lines))
    return processes.begin(folder, command, data, environment | {"SPARK_CONF_DIR": str(folder)})


@pytest.mark.parametrize("system", ["hdfs"], indirect=True)
def test_class_folders_that_change_places(pipeline: Elsewhere) -> None:
    """Their files have the same names, sizes and times, and a rename of a folder changes none of them."""
    files, uri = pipeline.files, pipeline.files.uri("some")
    system, _ = files._open("")
    path = hadoop_of(pipeline.spark)[0].jvm.org.apache.hadoop.fs.Path
    contents = {name: images.jpeg(images.colored(seed=seed)) for seed, name in enumerate(("cats", "dogs"))}
    size = max(map(len, contents.values()))
    for folder, content in contents.items():
        for number in range(80):
            name = f"some/{folder}/{number}.jpg"
            files.create(name, content.ljust(size, b"\0"))
            system.setTimes(path(files.uri(name)), 1_700_000_000_000, -1)
    pipeline.run(uri, "image_seqfile")
    before, seen = pipeline.digests().set_index("fileName").digest, look_at(uri)
    assert look_at(uri) == seen
    result = pipeline.run(uri, "image_seqfile")
    assert pipeline.metadata(result, "image_seqfile")["reused"] == 160

    for old, new in (("cats", "other"), ("dogs", "cats"), ("other", "dogs")):
        assert system.rename(path(f"{uri}/{old}"), path(f"{uri}/{new}"))
    result = pipeline.run(uri, "image_seqfile")

    assert pipeline.metadata(result, "image_seqfile")["reused"] == 0
    after = pipeline.digests().set_index("fileName").digest
    assert all(after[f"cats/{number}.jpg"] == before[f"dogs/{number}.jpg"] for number in range(80))
    assert look_at(uri) != seen


def test_the_full_job_again_and_after_changes(
    pipeline: Elsewhere,
    system: System,
    source: str,
    expected: Runner,
    image_folder: Path,
    tmp_path: Path,
) -> None:
    pipeline.run(source, *ALL_ASSETS, image_classifier=CLASSIFIER)
    require_same_tables(pipeline, expected, *ALL_ASSETS)

    # An image that was changed just before it was listed is read once more: it may have changed again since.
    pipeline.run(source, "image_seqfile")
    result = pipeline.run(source)
    for asset in ("image_seqfile", "sift_features", "bow_encodings"):
        found = pipeline.metadata(result, asset)
        assert (found["reused"], found["dropped"]) == (12, 0)
    require_same_tables(pipeline, expected)

    elsewhere = Elsewhere(f"{pipeline.uri}_changed", pipeline.spark)
    some = elsewhere.files.uri("some")
    for name in ("kept", "changed", "removed"):
        elsewhere.files.create(f"some/{name}.jpg", images.jpeg(images.colored(seed=ord(name[0]))))
    elsewhere.run(some, "image_seqfile", "sift_features")
    elsewhere.files.replace("some/changed.jpg", images.jpeg(images.colored(seed=98)))
    elsewhere.files.delete("some/removed.jpg")
    elsewhere.files.create("some/new.jpg", images.jpeg(images.colored(seed=99)))
    result = elsewhere.run(some, "image_seqfile", "sift_features")
    found = elsewhere.metadata(result, "sift_features")
    assert (found["reused"], found["extracted"], found["dropped"]) == (1, 2, 1)

    # The command line needs the user's configuration, but not the cluster that runs are for.
    nowhere = {settings.SPARK_MASTER: "spark://127.0.0.1:1"}
    answers = {
        "path bow_encodings": pipeline.current("bow_encodings").uri,
        "snapshots sift_features": pipeline.current("sift_features").name,
        f"predict {image_folder}/cats": "cats/image 01.jpg: cats",
    }
    runs = []
    for number, command in enumerate(answers):
        folder = tmp_path / str(number)
        cli = ["vision_assets.cli", *command.split()]
        runs.append((begin(folder, system, pipeline.uri, cli, **nowhere), folder))
    for (run, folder), said in zip(runs, answers.values(), strict=True):
        require_success(run, folder)
        assert said in output(folder)


@pytest.mark.parametrize(
    ("moment", "asset"),
    [("extracting", "sift_features"), ("during", "image_seqfile"), ("after", "sift_features")],
)
@ONE_OF_EACH_FIRST
def test_a_run_that_is_killed_harms_nothing(
    pipeline: Elsewhere,
    system: System,
    source: str,
    expected: Runner,
    tmp_path: Path,
    moment: str,
    asset: str,
) -> None:
    here = Elsewhere(f"{pipeline.uri}_{moment}", pipeline.spark)
    here.run(source, "image_seqfile")
    before = here.current("image_seqfile")
    config = config_of(source) | {"sift_features": {"partitions": 6}}
    config["image_seqfile"] |= {"full_refresh": True}  # unchanged images would not be stored again
    command = ["vision_assets_tests.systems.stopped_run", moment, *materialize((asset,), config)]
    killed = begin(tmp_path / "run", system, here.uri, command)
    assert killed.wait() == -signal.SIGKILL, output(tmp_path / "run")[-3000:]
    assert here.current("image_seqfile") == before
    assert (here.store.current(("sift_features",)) is not None) is (moment == "after")
    by_magic = here.uri.startswith("s3a:")
    if moment == "extracting" and by_magic:
        assert pending_uploads(here), "tasks upload what appears with the job's commit"
    result = here.run(source, "image_seqfile", "sift_features")
    reused = here.metadata(result, "sift_features")["reused"]
    assert reused == 12 if moment == "after" else (reused > 0) is (moment == "extracting" and not by_magic)
    require_same_tables(here, expected, "sift_features")
    for name in ("image_seqfile", "sift_features"):
        kept = {snapshot.name for snapshot in here.store.snapshots((name,))}
        assert folders(here, name) == kept
        assert {Path(note).suffix for note in here.files.names(f"{name}/_snapshots")} == {".json"}
    assert not pending_uploads(here)


@pytest.mark.parametrize("system", ["hdfs"], indirect=True)  # the same code on all
def test_a_jvm_that_dies_while_files_are_copied_costs_one_attempt(
    pipeline: Elsewhere, system: System, source: str, expected: Runner, tmp_path: Path
) -> None:
    pipeline.run(source, "image_seqfile", "sift_features")
    stopped = ["vision_assets_tests.systems.stopped_run", "copying"]
    changed = materialize(("sift_features",), {"sift_features": {"max_failed_share": 0.5}})
    run = begin(tmp_path / "run", system, pipeline.uri, [*stopped, *changed])
    require_success(run, tmp_path / "run")
    assert "Spark's JVM died" in output(tmp_path / "run")
    # The attempt's own, the one with which it cleans up, and that of the next attempt.
    assert output(tmp_path / "run").count("starting Spark") == 3
    assert len(pipeline.store.snapshots(("sift_features",))) == 2
    require_same_tables(pipeline, expected, "sift_features")


@ONE_OF_EACH_FIRST
def test_two_runs_at_once_each_make_complete_tables(
    pipeline: Elsewhere, system: System, source: str, expected: Runner, tmp_path: Path
) -> None:
    command = materialize(UP_TO_ENCODINGS, config_of(source))
    runs = [begin(tmp_path / name, system, pipeline.uri, command) for name in ("one", "two")]
    for run, name in zip(runs, ("one", "two"), strict=True):
        require_success(run, tmp_path / name)
    # A run that begins its features after the other's commit keeps those.
    assert len(pipeline.store.snapshots(("sift_features",))) in {1, 2}
    require_same_tables(pipeline, expected)


@ONE_OF_EACH
def test_the_workers_of_a_cluster_read_and_write_there(
    cluster: SparkCluster,
    pipeline: Elsewhere,
    system: System,
    source: str,
    expected: Runner,
    tmp_path: Path,
) -> None:
    """By the settings that the documentation has one copy."""
    properties, keys = printed_settings(system)
    command = materialize(UP_TO_ENCODINGS, config_of(source))
    told = replace(system, properties=properties)
    run = begin(tmp_path / "run", told, pipeline.uri, command, **cluster.environment, **keys)
    require_success(run, tmp_path / "run")
    assert "Spark runs on 4 cores" in output(tmp_path / "run")
    require_same_tables(pipeline, expected)


def test_a_server_that_is_away_for_a_while_costs_no_run(
    pipeline: Elsewhere,
    system: System,
    source: str,
    expected: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a run, and while tasks of an asset run: what clients speak with, then what has the data."""
    first, last = system.outages[0], system.outages[-1]
    with ThreadPoolExecutor() as threads:
        first.begin()
        restart = threads.submit(first.end)
        pipeline.run(source, "image_seqfile")
        restart.result()
        for asset, made_in, name, outage in (
            ("sift_features", "features", "extract", first),
            ("bow_encodings", "encodings", "encode_features", last),
        ):
            begun, gone = tmp_path / f"{asset}_begun", tmp_path / f"{asset}_gone"
            module = sys.modules[f"vision_assets.defs.assets.{made_in}"]
            monkeypatch.setattr(module, name, interrupted(getattr(module, name), begun, gone))
            restart = threads.submit(interrupt, outage, begun, gone)
            pipeline.run(None, *(("kmeans_dictionary",) if asset == "bow_encodings" else ()), asset)
            restart.result()
    require_same_tables(pipeline, expected)


def interrupted(compute: Callable[..., MappedRows], begun: Path, gone: Path) -> Callable[..., MappedRows]:
    """Have the tasks of a table say that they have begun, and go on once a server is gone."""

    def wait(batches: Iterator[Any]) -> Iterator[Any]:
        begun.touch()
        while not gone.exists():
            time.sleep(0.05)  # between two looks
        yield from batches

    def computed(*arguments: Any) -> MappedRows:
        rows = compute(*arguments)
        function = rows.function  # the rows cannot be sent to a worker
        return replace(rows, function=lambda batches: wait(function(batches)))

    return computed


def interrupt(outage: Outage, begun: Path, gone: Path) -> None:
    until(begun.exists, "tasks have begun")
    outage.begin()
    gone.touch()
    outage.end()


def test_a_missing_source_or_bucket_is_named(
    pipeline: Elsewhere, system: System, source: str, spark: SparkSession
) -> None:
    missing = f"{system.uri}/nothing/here"
    error = pipeline.error(pipeline.run(missing, "image_seqfile", fail=True))
    assert missing in error
    assert "does not exist" in error
    if system.uri.startswith("s3a:"):
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        bucket = system.uri.removeprefix("s3a://")
        for name, value in system.properties.items():
            hadoop.set(name.replace(bucket, f"not-{bucket}"), value)
        elsewhere = Elsewhere(f"s3a://not-{bucket}/data", spark)
        error = elsewhere.error(elsewhere.run(source, "image_seqfile", fail=True))
        assert error.startswith("The bucket does not exist")


def test_who_may_not_write_is_told_so_and_changes_nothing(
    pipeline: Elsewhere, system: System, source: str, tmp_path: Path
) -> None:
    pipeline.run(source, "image_seqfile")
    before = pipeline.files.names("image_seqfile/_snapshots")
    wrong = {name: "wrong" for name in system.properties if name.endswith("secret.key")}
    stranger = replace(system, properties=system.properties | wrong)
    command = materialize(("image_seqfile",), config_of(source))
    run = begin(tmp_path / "run", stranger, pipeline.uri, command, HADOOP_USER_NAME="stranger")
    assert run.wait() != 0
    assert "Access is denied" in output(tmp_path / "run")
    assert pipeline.files.names("image_seqfile/_snapshots") == before


def test_files_are_created_completely_or_not_at_all(pipeline: Elsewhere) -> None:
    files: HadoopFiles = pipeline.files
    files.create("a/one", b"1" * 1000)
    assert files.read("a/one") == b"1" * 1000
    files.replace("a/one", b"2")
    assert files.read("a/one") == b"2"
    assert files.names("a") == ["one"]
    files.delete("a")
    assert files.names("a") == []
    for read in (files.read, lambda path: files.tail(path, 4)):
        with pytest.raises(FileNotFoundError):
            read("a/one")
