"""Two collections in Dagster's page: their project files, *Terminate*, and the comparison of results."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.browser.dagster_page import DagsterPage, Server, browsing, serving, wait_until
from vision_assets_tests.pipeline import Runner

pytestmark = pytest.mark.whole

CLASSIFIER = "image_classifier: {train_per_class: 3, splits: 2, max_iter: 20}"
SECONDS = 10
"""Time in which all processes of a terminated run have to end."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two collections: of one kind of images each, and with settings of their own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "collections").mkdir()
    for name, seed, words in (("flowers", 1, 30), ("scenes", 2, 40)):
        write_sample_images(folder / name, seed=seed, images_per_class=6)
        file = folder / "collections" / f"{name}.yaml"
        file.write_text(f"source: ../{name}\nkmeans_dictionary: {{k: {words}}}\n{CLASSIFIER}\n")
    return folder


@pytest.fixture(scope="module")
def server(_chromium: None, project: Path) -> Iterator[Server]:
    environment = {settings.DATA: str(project / "data"), settings.SPARK_MASTER: "local[2]"}
    workspace = project / "workspace.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.DATA, environment[settings.DATA])
        command = [sys.executable, "-m", "vision_assets", "workspace"]
        workspace.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    with serving(project, "", workspace, **environment) as server:
        yield server


@pytest.fixture(scope="module")
def dagster(server: Server) -> Iterator[DagsterPage]:
    with browsing(server) as page:
        yield page


def test_a_collection_is_made_with_the_settings_of_its_file(dagster: DagsterPage, project: Path) -> None:
    dagster.open_collection("flowers")
    run = dagster.launch("Materialize all")
    assert dagster.outcome() == "Success"
    flowers = Runner(project / "data" / "collections" / "flowers")
    assert flowers.current("image_seqfile").rows == 60
    words = flowers.current("kmeans_dictionary")
    assert (words.run_id, words.rows) == (run, 30)
    assert not (project / "data" / "collections" / "scenes").exists()
    dagster.open_asset("flowers/kmeans_dictionary", "checks")
    expect(dagster.page.get_by_text("project_settings", exact=True).first).to_be_visible()
    expect(dagster.page.get_by_text("Failed", exact=True)).to_have_count(0)


def test_both_collections_are_code_locations_of_one_page(dagster: DagsterPage) -> None:
    dagster.open("/deployment/locations")
    for name in ("flowers", "scenes"):
        expect(dagster.page.get_by_text(name, exact=True).first).to_be_visible()
    dagster.open_asset("scenes/image_seqfile")
    expect(dagster.page.get_by_text("scenes", exact=True).first).to_be_visible()


def test_a_run_that_is_terminated_ends_and_is_continued(dagster: DagsterPage, project: Path) -> None:
    """While SIFT works; other moments are those of Ctrl-C."""
    data = project / "data" / "collections" / "scenes"
    config = {"ops": {"sift_features": {"config": {"partitions": 8}}}}
    run = dagster.server.launch("bovw_pipeline", config, "scenes")
    wait_until(lambda: any(data.glob("sift_features/*/part-*")), 120, "no features are extracted")
    dagster.open_run(run)
    dagster.terminate()
    wait_until(
        lambda: (
            not any(
                word in command
                for command in dagster.server.processes().values()
                for word in ("java", "worker_daemon", run)
            )
        ),
        SECONDS,
        "processes of the run go on",
    )
    dagster.open_run(run)
    assert dagster.outcome() == "Canceled"
    dagster.open_collection("scenes")
    dagster.launch("Materialize all")
    assert dagster.outcome() == "Success"
    features = dagster.server.metadata("scenes/sift_features")
    assert int(features["reused"]["intRepr"]) > 0


def test_results_are_compared(
    dagster: DagsterPage, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"ops": {"kmeans_dictionary": {"config": {"k": 10}}}}
    run = dagster.server.launch("bovw_pipeline", config, "flowers")
    dagster.open_run(run)
    assert dagster.outcome() == "Success"
    dagster.open_asset("flowers/classification_report", "checks")
    dagster.page.get_by_text("accuracy_kept", exact=True).first.click()
    table = dagster.page.get_by_role("table").filter(has_text="accuracy")
    for words in ("10", "30"):
        expect(table.get_by_role("cell", name=words, exact=True).first).to_be_visible()

    monkeypatch.setenv(settings.DATA, str(project / "data"))
    assert main(["compare", "--json"]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = sorted((each["collection"], each["settings"]["kmeans_dictionary.k"]) for each in results)
    assert found == [("flowers", 10), ("flowers", 30), ("scenes", 40)]
    for each in results:
        reports = Runner(project / "data" / "collections" / each["collection"]).store.snapshots(
            ("classification_report",)
        )
        (report,) = [snapshot for snapshot in reports if snapshot.name == each["snapshot"]]
        assert each["mean_per_class_accuracy"] == report.counts["mean_per_class_accuracy"]
