"""The job as a user runs it, in a process of its own: what it makes and says, and what it lets in and out."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pandas as pd
import pytest
import yaml

from vision_assets import settings
from vision_assets_tests.pipeline import ITERATIONS, WORDS, Runner
from vision_assets_tests.sockets import Socket, watched
from vision_assets_tests.torture.kills import processes

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
JOB = ("job", "execute", "-m", "vision_assets.definitions", "-j", "bovw_pipeline", "-c")
ACCESS_KEY = "AKIAFAKE"
SECRETS = ("SecretOfTheUri", "SecretOfTheRun", "SecretOfTheConf", "SecretOfTheEnvironment")
URI_SECRET, RUN_SECRET, CONF_SECRET, ENVIRONMENT_SECRET = SECRETS
AUTHORITY = f"{ACCESS_KEY}:{URI_SECRET}@bucket"


class Started(NamedTuple):
    """A job that runs, with a data folder and a history below a folder."""

    process: subprocess.Popen[bytes]
    output: Path
    home: Path


def start(folder: Path, config: dict[str, Any], environment: dict[str, str] | None = None) -> Started:
    file, home, output = folder / "run.yaml", folder / "home", folder / "output"
    file.write_text(yaml.safe_dump(config))
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    given = {
        settings.DATA: str(folder / "data"),
        "DAGSTER_HOME": str(home),
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", *JOB, str(file)],
            cwd=ROOT,
            env=os.environ | given | (environment or {}),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return Started(process, output, home)


class Looked(NamedTuple):
    """What was seen of a run, by others on the machine and afterwards."""

    output: str
    events: str
    data: Path
    sockets: set[Socket]
    command_lines: str
    ui_port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Looked:
    """A run of a user whose Spark has a page, and whose images are on a storage that takes a key."""
    folder, port = tmp_path_factory.mktemp("command line"), free_port()
    conf = folder / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text(
        f"spark.ui.enabled true\nspark.ui.port {port}\nspark.hadoop.fs.s3a.session.token {CONF_SECRET}\n"
        "spark.driver.defaultJavaOptions -XX:TieredStopAtLevel=1\n"  # faster, as the run is short
    )
    # A file system that takes any name and key, as S3's own is not part of PySpark.
    mount = f"spark.hadoop.fs.viewfs.mounttable.{AUTHORITY}.link./images"
    spark_config = {"spark.hadoop.fs.s3a.secret.key": RUN_SECRET, mount: image_folder.as_uri()}
    chosen: dict[str, dict[str, Any]] = {
        "image_seqfile": {"source": f"viewfs://{AUTHORITY}/images"},
        "kmeans_dictionary": {"k": WORDS, "max_iter": ITERATIONS},
        "image_classifier": {"splits": 1, "max_iter": 3},
    }
    config = {
        "ops": {asset: {"config": options} for asset, options in chosen.items()},
        "resources": {"pyspark": {"config": {"spark_config": spark_config}}},
    }
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ENVIRONMENT_SECRET,
        "SPARK_CONF_DIR": str(conf),
    }
    started = start(folder, config, environment)
    command_lines: set[str] = set()

    def seen() -> Iterator[int]:
        for pid, command_line in processes(started.process.pid):
            command_lines.add(command_line)
            yield pid

    with watched(seen) as sockets:
        status = started.process.wait()
    text = started.output.read_text()
    assert status == 0, text[-3000:]
    with dg.DagsterInstance.from_config(str(started.home)) as instance:
        (run,) = instance.get_runs()
        events = "\n".join(dg.serialize_value(event) for event in instance.all_logs(run.run_id))
    return Looked(text, events, folder / "data", sockets, "\n".join(command_lines), port)


def test_the_job_makes_the_same_tables(looked: Looked, filled: Runner) -> None:
    for asset in ("sift_features", "kmeans_dictionary", "bow_encodings"):
        pd.testing.assert_frame_equal(Runner(looked.data).table(asset), filled.table(asset), check_exact=True)


def test_a_run_that_succeeds_prints_no_warning_and_no_stack_trace(looked: Looked) -> None:
    # Few words and a few images of two classes: a coin may be as good.
    lines = [line for line in looked.output.splitlines() if "check better_than_chance" not in line]
    for unwanted in ("Traceback", "WARN", "warning", "error", "Exception", "\tat "):
        assert not [line for line in lines if unwanted in line]
    for line in looked.output.splitlines():
        assert re.fullmatch(r"\d\d:\d\d:\d\d [a-z_]+  +\S.*", line), "time, asset, message"
    assert f"iteration {ITERATIONS} of {ITERATIONS}: inertia" in looked.output


def test_a_run_that_fails_names_the_cause_and_exits_with_one(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing here")
    started = start(tmp_path, {"ops": {"image_seqfile": {"config": {"source": missing}}}})
    assert started.process.wait() == 1
    *before, last = started.output.read_text().splitlines()
    cause = f"source {missing!r} does not exist on this machine. Is the path right?"
    assert last == f"Error: image_seqfile failed: {cause}"
    assert "resulted in failure" not in started.output.read_text()
    assert [line[9:] for line in before if "error" in line] == [f"image_seqfile          error: {cause}"]
    assert not [line for line in before if "Traceback" in line or "Stack Trace" in line]


def test_an_error_of_the_configuration_is_one_line(tmp_path: Path) -> None:
    started = start(tmp_path, {"ops": {"kmeans_dictionary": {"config": {"kk": 20}}}})
    assert started.process.wait() == 1
    (line,) = started.output.read_text().splitlines()
    assert line.startswith('Error: Received unexpected config entry "kk" at path root:ops:kmeans_dictionary')


def test_a_local_run_listens_on_loopback_alone(looked: Looked) -> None:
    ports = {found.port for found in looked.sockets if found.program == "java"}
    assert looked.ui_port in ports
    assert len(ports) >= 4, "Spark's page, driver, block manager, gateway"
    assert not [found for found in looked.sockets if not found.address.is_loopback]


def test_no_secret_is_in_the_output_the_events_or_the_command_lines(looked: Looked) -> None:
    assert "viewfs://***@bucket/images" in looked.output
    assert "viewfs://***@bucket/images" in looked.events
    for secret in SECRETS:
        assert secret not in looked.output
        assert secret not in looked.events
        # The mount in this test has the key in its name.
        shown = looked.command_lines.replace(f"mounttable.{AUTHORITY}.link", "")
        assert secret not in shown


def test_no_secret_is_in_the_data_folder(looked: Looked) -> None:
    files = [path for path in looked.data.rglob("*") if path.is_file()]
    assert len(files) > 8
    for file in files:
        content = file.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in content], file
    assert Runner(looked.data).current("image_seqfile").config["source"] == "viewfs://***@bucket/images"
