"""Dagster's page, served for a while and used through a browser: for the tests and for `make screenshots`."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml
from playwright.sync_api import Browser, ElementHandle, Locator, Page, expect, sync_playwright

from vision_assets import settings

ROOT = Path(__file__).parents[2]
VIEWPORT = (1440, 900)
PICTURE_PREFIX = "picture_"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_CHROMIUM = (
    "Chromium is missing; install it with 'sudo apt-get install chromium' (or 'sudo dnf install chromium'), "
    "or put Chrome on PATH as google-chrome"
)

_SECOND = 1000.0  # Playwright counts milliseconds
_PAGE_TIMEOUT = 60 * _SECOND
_RUN_SECONDS = 600
_START_SECONDS = 120
_STOP_SECONDS = 30

# A shell that starts pytest in the background has it ignore Ctrl-C's signal, and Dagster then ignores every
# polite end.
_START = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "dagster", *sys.argv[1:]])
"""

# The difference between the lightest and the darkest pixel; of what is transparent, white shows through.
_SPREAD = """
element => {
    const canvas = document.createElement("canvas");
    canvas.width = element.naturalWidth || element.width;
    canvas.height = element.naturalHeight || element.height;
    if (!canvas.width || !canvas.height) return 0;
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(element, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let darkest = 255, lightest = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        const grey = (pixels[i] + pixels[i + 1] + pixels[i + 2]) / 3;
        darkest = Math.min(darkest, grey);
        lightest = Math.max(lightest, grey);
    }
    return lightest - darkest;
}
"""

_MATERIALIZATION = """
query ($asset: AssetKeyInput!) {
  assetOrError(assetKey: $asset) {
    ... on Asset {
      assetMaterializations(limit: 1) {
        runId
        metadataEntries {
          __typename
          label
          ... on IntMetadataEntry { intRepr }
          ... on FloatMetadataEntry { floatValue }
          ... on TextMetadataEntry { text }
          ... on MarkdownMetadataEntry { mdStr }
        }
      }
    }
  }
}
"""

_STATUS = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }
"""
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

_LAUNCH = """
mutation ($job: String!, $location: String!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {
      repositoryName: "__repository__", repositoryLocationName: $location, pipelineName: $job
    }
    runConfigData: $config
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


def chromium() -> str | None:
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.1) -> None:
    """Ask again and again, with a pause of so many seconds, until the condition holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds} s {what}")
        time.sleep(pause)


# --- The server -------------------------------------------------------------------------------------------


@contextmanager
def serving(
    folder: Path, source: Path | str, workspace: Path = ROOT / "workspace.yaml", /, **environment: str
) -> Iterator["Server"]:
    """Run `dagster dev` with its history in `folder`/home and the tables in `folder`/data."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", home)
    port = _free_port()
    server = Server(f"http://127.0.0.1:{port}", folder / "data", home, folder / "server.log")
    command = ["dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    with (
        server.log.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", _START, *command, "--log-level", "warning"],
            # From its own home, since Dagster warns of a dagster.yaml in the current folder.
            cwd=home,
            env=_environment(server, source) | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            wait_until(lambda: server.answers(process), _START_SECONDS, f"no answer; see {server.log}")
            yield server
        finally:
            _stop(process)
    wait_until(lambda: not server.processes(), _STOP_SECONDS, f"still there: {server.processes()}")


class Server(NamedTuple):
    """A running `dagster dev`."""

    url: str
    data: Path
    home: Path
    log: Path

    def answers(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"dagster dev ended at once:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def graphql(self, query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            result = json.load(answer)
        if "errors" in result:
            raise RuntimeError(f"GraphQL: {result['errors']}")
        return result["data"]

    def launch(self, job: str, config: dict[str, Any], location: str = "vision_assets") -> str:
        """Start a run of a job and return its id."""
        found = self.graphql(_LAUNCH, job=job, location=location, config=yaml.safe_dump(config))
        result = found["launchRun"]
        if result["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"{job} was not started: {result}")
        return str(result["run"]["runId"])

    def has_ended(self, run: str) -> bool:
        return self.graphql(_STATUS, run=run)["runOrError"]["status"] in _ENDED

    def metadata(self, asset: str) -> dict[str, dict[str, Any]]:
        """Return the metadata entries of the latest materialization by their labels."""
        found = self.graphql(_MATERIALIZATION, asset={"path": asset.split("/")})["assetOrError"]
        (latest,) = found["assetMaterializations"]
        return {entry["label"]: entry for entry in latest["metadataEntries"]}

    def numbers(self, asset: str) -> set[str]:
        """Return the labels of the metadata that Dagster plots."""
        kinds = {"IntMetadataEntry", "FloatMetadataEntry"}
        return {label for label, entry in self.metadata(asset).items() if entry["__typename"] in kinds}

    def pictures(self, asset: str) -> dict[str, "Picture"]:
        """Return the pictures among the metadata by their labels."""
        return {
            label: Picture.from_markdown(entry["mdStr"])
            for label, entry in self.metadata(asset).items()
            if label.startswith(PICTURE_PREFIX)
        }

    def processes(self) -> dict[int, str]:
        """Return ids and command lines of all processes that this server has started, where /proc tells."""
        mark = f"DAGSTER_HOME={self.home}\0".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(process.name)] = line[:200]
            except OSError:  # another user's, or gone
                continue
        return found


class Picture(NamedTuple):
    """A picture as it is in the metadata."""

    format: str
    data: bytes

    @classmethod
    def from_markdown(cls, markdown: str) -> "Picture":
        found = re.search(r"!\[[^\]]*\]\(data:image/(\w+);base64,([A-Za-z0-9+/=]+)\)", markdown)
        if not found:
            raise ValueError(f"no picture in {markdown[:200]!r}")
        return cls(found[1], base64.b64decode(found[2]))


def _environment(server: Server, source: Path | str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "SPARK_HOME"},
        # The code beside this file, whichever checkout is installed.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "DAGSTER_HOME": str(server.home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONWARNINGS": "ignore::FutureWarning",
        settings.DATA: str(server.data),
        settings.SOURCE: str(source),
        # As an installation without settings, whatever the tests around it have.
        settings.EXTRACTORS: "",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


# --- The browser ------------------------------------------------------------------------------------------


@contextmanager
def browsing(server: Server) -> Iterator["DagsterPage"]:
    """Start a browser with one empty page."""
    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        width, height = VIEWPORT
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
        page.set_default_timeout(_PAGE_TIMEOUT)
        expect.set_options(timeout=_PAGE_TIMEOUT)
        try:
            yield DagsterPage(page, server)
        finally:
            browser.close()


class DagsterPage:
    """What a user does and sees."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server

    def open(self, path: str) -> None:
        # Not until the network is quiet: the page asks for news for ever.
        self.page.goto(f"{self.server.url}{path}", wait_until="domcontentloaded")

    def open_graph(self) -> None:
        self.open("/asset-groups")
        expect(self.button("Materialize all")).to_be_visible()

    def open_asset(self, asset: str, view: str = "overview") -> None:
        self.open(f"/assets/{asset}?view={view}")
        expect(self.button("Materialize")).to_be_visible()

    def open_run(self, run: str) -> None:
        self.open(f"/runs/{run}")

    def button(self, text: str) -> Locator:
        # By its text: the accessible name begins with the name of the button's icon.
        return self.page.get_by_role("button").filter(has_text=re.compile(rf"^\s*{re.escape(text)}\s*$"))

    def launch(self, button: str) -> str:
        """Press a button that starts a run, go to the run's page and return the run's id."""
        self.button(button).click()
        notice = self.page.get_by_role("listitem").filter(has_text="Launched run")
        notice.get_by_text("View", exact=True).click()
        self.page.wait_for_url("**/runs/*-*", wait_until="domcontentloaded")
        return self.page.url.partition("/runs/")[2].partition("?")[0]

    def open_collection(self, name: str) -> None:
        """Open the graph of a collection."""
        self.open(f"/locations/__repository__@{name}/asset-groups/bovw/lineage")
        expect(self.button("Materialize all")).to_be_visible()

    def terminate(self) -> None:
        """End the run whose page is open, as a user would."""
        self.button("Terminate").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button").filter(has_text="Terminate 1 run").click()

    def outcome(self) -> str:
        """Wait until the run whose page is open has ended, and return how, as the page says it."""
        run = urlsplit(self.page.url).path.rpartition("/")[2]
        # Drawing the page of a run takes half of a core as long as the run goes on.
        self.page.goto("about:blank")
        wait_until(lambda: self.server.has_ended(run), _RUN_SECONDS, f"run {run} goes on", pause=0.5)
        self.open_run(run)
        status = self.page.get_by_text(re.compile(r"^(Success|Failure|Canceled)$")).first
        return status.inner_text()

    @contextmanager
    def new_tab(self, link: Locator) -> Iterator["DagsterPage"]:
        """Follow a link that opens a tab of its own, and close that in the end."""
        with self.page.context.expect_page() as opened:
            link.click()
        try:
            yield DagsterPage(opened.value, self.server)
        finally:
            opened.value.close()

    def status_tile(self, title: str) -> Locator:
        """Return a tile of an asset's page with its title."""
        return self.page.get_by_text(title, exact=True).locator("xpath=..")

    def column(self, name: str) -> Locator:
        """Return the row of a column in the table's schema."""
        return self._row("Column name", name)

    def metadata_entry(self, label: str) -> Locator:
        """Return the row of an entry in the table of the metadata."""
        return self._row("Key", label)

    def _row(self, header: str, first_cell: str) -> Locator:
        def cell(name: str) -> Locator:
            return self.page.get_by_role("cell", name=name, exact=True)

        table = self.page.get_by_role("table").filter(has=cell(header))
        return table.get_by_role("row").filter(has=cell(first_cell))

    def show_plots(self, labels: set[str]) -> list[Locator]:
        """Turn to the plots of an asset's metadata, and wait until all are drawn."""
        self.button("Plots").click()
        canvases = self.page.locator("canvas")
        expect(canvases).to_have_count(len(labels))
        for canvas in canvases.all():
            self.page.wait_for_function(f"element => ({_SPREAD})(element) > 0", arg=_handle(canvas))
        return canvases.all()

    @contextmanager
    def shown_picture(self, label: str) -> Iterator[Locator]:
        """Open the picture of a metadata entry."""
        self.metadata_entry(label).get_by_text("[Show Markdown]").click()
        dialog = self.page.get_by_role("dialog")
        picture = dialog.locator("img[src^='data:image/']")
        expect(picture).to_be_visible()
        self.page.wait_for_function("element => element.complete", arg=_handle(picture))
        yield picture
        self.button("Close").click()
        expect(dialog).to_have_count(0)

    def spread(self, picture: Locator) -> float:
        """Return the difference between the lightest and the darkest pixel, 0 to 255."""
        return float(picture.evaluate(_SPREAD))

    def text(self) -> str:
        return self.page.locator("body").inner_text()


def _handle(element: Locator) -> ElementHandle:
    return element.element_handle()
