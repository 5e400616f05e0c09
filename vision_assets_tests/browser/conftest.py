"""A server and a browser for the tests in this folder, and what is left behind when one fails."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error

from vision_assets import settings
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.browser.dagster_page import (
    NO_CHROMIUM,
    DagsterPage,
    Server,
    browsing,
    chromium,
    serving,
)
from vision_assets_tests.sockets import Socket, watched

# On the default configuration, 1,000 words, which is what the plain button runs: 34,000 descriptors.
IMAGES_PER_CLASS = 8

_SHOWN = 3000


@pytest.fixture(scope="module", autouse=True)
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is written what a failing test has seen."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def _chromium() -> None:
    if chromium():
        return
    if os.environ.get("CI"):
        pytest.fail(NO_CHROMIUM, pytrace=False)
    pytest.skip(NO_CHROMIUM)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "images"
    write_sample_images(folder, images_per_class=IMAGES_PER_CLASS)
    return folder


@pytest.fixture(scope="module")
def server(_chromium: None, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dagster")
    with serving(folder, source, **{settings.SPARK_MASTER: "local[2]"}) as server:
        yield server


@pytest.fixture(scope="module")
def dagster(server: Server) -> Iterator[DagsterPage]:
    with browsing(server) as page:
        yield page


@pytest.fixture(scope="module")
def sockets() -> set[Socket]:
    """What the server's processes have listened on during `run`."""
    return set()


@pytest.fixture(scope="module")
def run(dagster: DagsterPage, sockets: set[Socket]) -> str:
    """The run that Materialize all starts, after its success."""
    dagster.open_graph()
    with watched(dagster.server.processes) as found:
        run = dagster.launch("Materialize all")
        assert dagster.outcome() == "Success"
    sockets |= found
    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    values = getattr(item, "funcargs", {})
    if report.failed and "dagster" in values:
        report.sections.append(
            ("What the browser showed", saved(values["dagster"], values["evidence"] / item.name))
        )
    return report


def saved(dagster: DagsterPage, file: Path) -> str:
    """Save a screenshot and the text of the page; return where, and the end of the text."""
    try:
        text = f"{dagster.page.url}\n\n{dagster.text()}\n"
        file.with_suffix(".txt").write_text(text)
        dagster.page.screenshot(path=file.with_suffix(".png"))
    except Error as error:  # a browser that has crashed shows nothing
        return str(error)
    return f"{file}.png and .txt, which ends with\n\n{text[-_SHOWN:]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NO_CHROMIUM in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.section("NOT RUN: the browser tests", sep="!", red=True, bold=True)
        terminalreporter.line(f"{count} tests in a real browser were skipped: {NO_CHROMIUM}.", yellow=True)
