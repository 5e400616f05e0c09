"""The pictures of docs/images: Dagster's page after two runs, and the pictures among its metadata.

python -m vision_assets_tests.browser.screenshots docs/images [--source FOLDER]
"""

import argparse
import io
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from playwright.sync_api import FloatRect, Page, expect

from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINES
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.asset_graph import SHOWN_GRAPH, shown_definitions, shown_graph
from vision_assets_tests.browser.dagster_page import (
    NO_CHROMIUM,
    PICTURE_PREFIX,
    ROOT,
    VIEWPORT,
    DagsterPage,
    Picture,
    browsing,
    chromium,
    serving,
    wait_until,
)

# Two runs, so that the plots have lines. What is shown are the results of the second.
JOB = PIPELINES[DEFAULT_EXTRACTOR].job
RUN_CONFIGS = ("default.yaml", "sample.yaml")
SHOWN_ASSET = "classification_report"
MAX_BYTES = 150_000

# Wide enough for Dagster to draw the entire graph in full size, with the state of each asset in its node.
_GRAPH_VIEWPORT = (4000, 1800)
_MARGIN = 20
_STILL_SECONDS = 30
_STILL_SHOTS = 4
_FIRST_MINUTE = 90_000.0  # Playwright counts milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the pictures of docs/images.")
    parser.add_argument("images", type=Path, help="folder to write to")
    parser.add_argument("--source", help="images to run on; else sample images are made")
    arguments = parser.parse_args()
    if not chromium():
        sys.exit(f"Error: {NO_CHROMIUM}.")
    arguments.images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vision_assets-") as temporary:
        folder = Path(temporary)
        source = arguments.source or str(folder / "sample_images")
        if not arguments.source:
            write_sample_images(Path(source))
        with serving(folder / "dagster", source) as server, browsing(server) as dagster:
            take_all(dagster, arguments.images)


def take_all(dagster: DagsterPage, images: Path) -> None:
    for config in RUN_CONFIGS:
        run = run_job(dagster, config)
    save(run_page(dagster, run), images / "run.png")
    save(asset_graph(dagster), images / "asset_graph.png")
    save(overview(dagster), images / "asset_overview.png")
    save(plots(dagster), images / "asset_plots.png")
    save(checks(dagster), images / "asset_checks.png")
    for asset in assets():
        pictures = dagster.server.pictures(asset)
        for label, picture in pictures.items():
            save_picture(picture, images / f"{asset}_{label.removeprefix(PICTURE_PREFIX)}")
        if pictures and asset == SHOWN_ASSET:
            save(opened_picture(dagster, next(iter(pictures))), images / "asset_picture.png")
    (images / SHOWN_GRAPH.name).write_text(json.dumps(shown_graph(), indent=2) + "\n")


def assets() -> list[str]:
    return [key.to_user_string() for key in shown_definitions().resolve_asset_graph().toposorted_asset_keys]


def run_job(dagster: DagsterPage, config: str) -> str:
    values: dict[str, Any] = yaml.safe_load((ROOT / "run_configs" / config).read_text())
    say(f"{JOB} with {config} ...")
    run = dagster.server.launch(JOB, values)
    dagster.open_run(run)
    if dagster.outcome() != "Success":
        sys.exit(f"Error: the run failed:\n{dagster.text()}")
    return run


# --- What is shown ----------------------------------------------------------------------------------------


def run_page(dagster: DagsterPage, run: str) -> bytes:
    dagster.open_run(run)
    steps = dagster.page.get_by_text("Succeeded (")
    expect(steps).to_be_visible()
    dagster.page.get_by_role("button", name="expand_arrows").first.click()
    return shot(dagster.page)


def asset_graph(dagster: DagsterPage) -> bytes:
    page = dagster.page
    width, height = _GRAPH_VIEWPORT
    page.set_viewport_size({"width": width, "height": height})
    dagster.open_graph()
    nodes = page.locator("svg foreignObject").filter(has_text="Materialized")
    expect(nodes).to_have_count(len(assets()))
    # In the first minute after a run, each second changes the text.
    expect(page.get_by_text(re.compile("seconds? ago"))).to_have_count(0, timeout=_FIRST_MINUTE)
    shot(page)  # until everything is where it stays
    boxes = [box for node in nodes.all() if (box := node.bounding_box())]
    left, top = (min(box[side] for box in boxes) - _MARGIN for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + _MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + _MARGIN
    graph = shot(page, {"x": left, "y": top, "width": right - left, "height": bottom - top})
    width, height = VIEWPORT
    page.set_viewport_size({"width": width, "height": height})
    return graph


def overview(dagster: DagsterPage) -> bytes:
    dagster.open_asset(SHOWN_ASSET)
    expect(dagster.status_tile("Row count")).to_be_visible()
    return shot(dagster.page)


def plots(dagster: DagsterPage) -> bytes:
    dagster.open_asset(SHOWN_ASSET)
    dagster.show_plots(dagster.server.numbers(SHOWN_ASSET))
    dagster.button("Metadata").evaluate("element => element.scrollIntoView()")
    return shot(dagster.page)


def checks(dagster: DagsterPage) -> bytes:
    dagster.open_asset(SHOWN_ASSET, "checks")
    expect(dagster.page.get_by_text("Succeeded", exact=True).first).to_be_visible()
    return shot(dagster.page)


def opened_picture(dagster: DagsterPage, label: str) -> bytes:
    dagster.open_asset(SHOWN_ASSET)
    with dagster.shown_picture(label):
        return shot(dagster.page)


def shot(page: Page, clip: FloatRect | None = None) -> bytes:
    """Take a screenshot of what no longer moves."""
    shots: list[bytes] = []
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")

    def still() -> bool:
        shots.append(page.screenshot(clip=clip, animations="disabled"))
        return len(set(shots[-_STILL_SHOTS:])) == 1 and len(shots) >= _STILL_SHOTS

    wait_until(still, _STILL_SECONDS, "the page still moves")
    return shots[-1]


# --- Files ------------------------------------------------------------------------------------------------


def save(png: bytes, file: Path) -> None:
    """Write a PNG, of fewer colours if it is large."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    image.save(file, optimize=True)
    if file.stat().st_size > MAX_BYTES:
        image.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    say_size(file)


def save_picture(picture: Picture, file: Path) -> None:
    """Write a picture as it is, or with fewer colours if it is large."""
    file = file.with_suffix(f".{picture.format.replace('jpeg', 'jpg')}")
    if picture.format == "png" and len(picture.data) > MAX_BYTES:
        save(picture.data, file)
        return
    file.write_bytes(picture.data)
    say_size(file)


def say_size(file: Path) -> None:
    size = file.stat().st_size
    say(f"{file}: {size / 1000:.0f} kB{'' if size <= MAX_BYTES else ', which is much'}")


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
