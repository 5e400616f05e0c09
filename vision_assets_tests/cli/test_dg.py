"""Dagster's newer command line, `dg`, beside `dagster`."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from vision_assets import settings
from vision_assets.pipelines import STEPS
from vision_assets_tests.browser.dagster_page import Server, wait_until
from vision_assets_tests.cli.test_command_line import ROOT, free_port
from vision_assets_tests.pipeline import Runner

pytestmark = pytest.mark.whole
pytest.importorskip("dagster_dg_cli", reason="dagster-dg-cli is missing; `make lint` installs it")

RUN_DG = "from dagster_dg_cli.cli import main; main()"


def run_dg(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN_DG, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_definitions_are_clean() -> None:
    checked = run_dg("check", "defs")
    assert checked.returncode == 0, checked.stderr[-3000:]
    assert "All definitions loaded successfully." in checked.stdout
    assert "vision_assets" not in checked.stderr, "a warning about this project's code"


def test_launch_runs_in_the_terminal_and_in_the_history(tmp_path: Path, image_folder: Path) -> None:
    config = {"ops": {"image_seqfile": {"config": {"source": str(image_folder)}}}}
    (tmp_path / "home").mkdir()
    launched = run_dg(
        "launch",
        "--assets",
        "image_seqfile",
        "--config-json",
        json.dumps(config),
        DAGSTER_HOME=str(tmp_path / "home"),
        **{settings.DATA: str(tmp_path / "data")},
    )
    assert launched.returncode == 0, launched.stderr[-3000:]
    assert re.search(r"^\d\d:\d\d:\d\d image_seqfile +12 images \(12 read\), ", launched.stderr, re.MULTILINE)
    assert "Started execution" not in launched.stderr, "though the home has no dagster.yaml"
    assert len(Runner(tmp_path / "data").digests()) == 12
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        (run,) = instance.get_runs()
    assert run.is_success
    assert run.remote_job_origin
    assert run.remote_job_origin.location_name == "vision_assets"


def test_dev_serves_the_graph_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    server = Server(f"http://127.0.0.1:{port}", tmp_path / "data", home, tmp_path / "log")
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_DG, "dev", "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"DAGSTER_HOME": str(home), settings.DATA: str(server.data)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: server.answers(process), 120, "no answer")
        found = server.graphql("{ assetNodes { assetKey { path } } }")["assetNodes"]
        assert {node["assetKey"]["path"][0] for node in found} == set(STEPS)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    wait_until(lambda: not server.processes(), 30, "processes go on")
