"""Dagster's page in a real browser, used as a user would: press, look, press again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest
from playwright.sync_api import expect

from vision_assets_tests.browser.dagster_page import VIEWPORT, DagsterPage, Server
from vision_assets_tests.defs.test_pictures import PICTURES
from vision_assets_tests.pipeline import ALL_ASSETS, Runner, defs
from vision_assets_tests.sockets import Socket

pytestmark = pytest.mark.whole

GRAPH = defs.resolve_asset_graph()
ASSETS = sorted(ALL_ASSETS)

every_asset = pytest.mark.parametrize("asset", ASSETS)


def node(asset: str) -> Any:
    return GRAPH.get(dg.AssetKey.from_user_string(asset))


@pytest.mark.usefixtures("run")
def test_after_materialize_all_every_asset_is_green(dagster: DagsterPage) -> None:
    dagster.open_graph()
    for asset in ASSETS:
        expect(dagster.page.get_by_role("button", name=f"run_success {asset}")).to_be_visible()


@pytest.mark.usefixtures("run")
def test_dagster_and_a_run_listen_on_loopback_alone(server: Server, sockets: set[Socket]) -> None:
    assert urlsplit(server.url).port in {found.port for found in sockets}
    assert len({found.port for found in sockets if found.program == "java"}) >= 3
    assert not [found for found in sockets if not found.address.is_loopback]


@every_asset
def test_the_page_of_an_asset_tells_its_rows_and_columns(dagster: DagsterPage, run: str, asset: str) -> None:
    stored = Runner(dagster.server.data).current(asset)
    assert stored.run_id == run
    dagster.open_asset(asset)
    expect(dagster.status_tile("Row count")).to_contain_text(f"{stored.rows:,}")
    expect(dagster.metadata_entry("snapshot")).to_contain_text(stored.name)
    for column in node(asset).metadata["dagster/column_schema"].columns:
        expect(dagster.column(column.name)).to_contain_text(column.type)
        expect(dagster.column(column.name)).to_contain_text(column.description)


@every_asset
@pytest.mark.usefixtures("run")
def test_the_tables_of_an_asset_fit_the_window(dagster: DagsterPage, asset: str) -> None:
    assert VIEWPORT[0] == 1440
    for view, shown in (("overview", "snapshot"), ("checks", "Succeeded")):
        dagster.open_asset(asset, view)
        expect(dagster.page.get_by_text(shown, exact=True).first).to_be_visible()
        assert dagster.page.evaluate(CUT_OFF) == []


# Elements whose content is wider than they are, so that it has to be scrolled.
CUT_OFF = """
() => [...document.querySelectorAll("*")]
    .filter(element => ["auto", "scroll"].includes(getComputedStyle(element).overflowX))
    .filter(element => element.scrollWidth > element.clientWidth + 1)
    .map(element => element.innerText.slice(0, 1000))
"""


@every_asset
@pytest.mark.usefixtures("run")
def test_the_numbers_of_an_asset_are_plotted(dagster: DagsterPage, asset: str) -> None:
    numbers = dagster.server.numbers(asset)
    assert {"dagster/row_count", "seconds", "size_mb"} <= numbers
    dagster.open_asset(asset)
    dagster.show_plots(numbers)
    for label in numbers:
        expect(dagster.page.get_by_text(label, exact=True).last).to_be_visible()


@every_asset
@pytest.mark.usefixtures("run")
def test_all_checks_of_an_asset_are_green(dagster: DagsterPage, asset: str) -> None:
    checks = node(asset).check_keys
    assert checks
    dagster.open_asset(asset, "checks")
    expect(dagster.page.get_by_text(f"Checks ({len(checks)})")).to_be_visible()
    expect(dagster.page.get_by_text("Succeeded", exact=True)).to_have_count(len(checks))
    for check in checks:
        expect(dagster.page.get_by_text(check.name, exact=True).first).to_be_visible()


@every_asset
@pytest.mark.usefixtures("run")
def test_the_pictures_of_an_asset_can_be_seen(dagster: DagsterPage, asset: str) -> None:
    pictures = dagster.server.pictures(asset)
    assert set(pictures) == {f"picture_{name}" for name in PICTURES[asset]}
    dagster.open_asset(asset)
    for label in pictures:
        with dagster.shown_picture(label) as picture:
            assert picture.evaluate("element => element.naturalWidth") > 0
            assert dagster.spread(picture) > 50, f"{label} is blank"
            assert picture.get_attribute("alt"), f"{label} has no text for those who cannot see it"
            assert not picture.evaluate(OUTSIDE), f"{label} is wider than the dialog and cut off"


OUTSIDE = """
element => element.getBoundingClientRect().right
    > element.closest("[role=dialog]").getBoundingClientRect().right
"""


@pytest.fixture
def no_source(source: Path) -> Iterator[Path]:
    elsewhere = source.rename(source.with_name("elsewhere"))
    yield source
    elsewhere.rename(source)


# Last, since the asset stays marked as failed.
def test_a_run_without_its_source_says_so_and_harms_nothing(
    dagster: DagsterPage, run: str, no_source: Path
) -> None:
    asset = "image_seqfile"
    stored = Runner(dagster.server.data).current(asset)
    reason = f"source '{no_source}' does not exist on this machine. Is the path right?"

    dagster.open_asset(asset)
    failed = dagster.launch("Materialize")
    assert dagster.outcome() == "Failure"
    expect(dagster.page.get_by_text(reason).first).to_be_visible()

    dagster.open_asset(asset)
    expect(dagster.status_tile("Row count")).to_contain_text(f"{stored.rows:,}")
    expect(dagster.metadata_entry("snapshot")).to_contain_text(stored.name)
    assert Runner(dagster.server.data).current(asset) == stored
    assert stored.run_id == run
    assert Path(stored.uri).is_dir()

    latest = dagster.status_tile("Latest materialization")
    expect(latest).to_contain_text("Failed in")
    with dagster.new_tab(latest.get_by_role("link", name=failed[:8])) as tab:
        expect(tab.page.get_by_text(reason).first).to_be_visible()
