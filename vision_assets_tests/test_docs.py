"""The pages for readers: nothing is left to do, links lead somewhere, lines of prose fit into a window."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((PROJECT / "docs").glob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)|<img src=\"(?P<image>[^\"]+)\"")
WIDTH = 120
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def without_code(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbers and the lines of a page, without its blocks of code."""
    fenced, indented, before = False, False, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        # Without a blank line before it, an indented line continues a paragraph or a list.
        indented = line.startswith("    ") and (indented or not before.strip())
        before = line
        if not (fenced or fence or indented):
            yield number, line


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    titles = (line.lstrip("#").strip() for _, line in without_code(page) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_nothing_is_left_to_do(page: Path) -> None:
    assert re.findall(r".*TODO.*", page.read_text()) == []


@every_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for number, line in without_code(page):
        for link in LINK.finditer(line):
            target, _, anchor = (link["target"] or link["image"]).partition("#")
            if "://" in target:
                continue
            file = page.parent / target if target else page
            if not file.exists() or (anchor and anchor not in headings(file)):
                broken.append(f"{page.name}:{number}: {link[0]}")
    assert broken == []


@every_page
def test_lines_of_prose_are_short(page: Path) -> None:
    long = [
        f"{page.name}:{number}: {len(line)} characters"
        for number, line in without_code(page)
        if len(line) >= WIDTH and not line.startswith("|") and not LINK.search(line)
    ]
    assert long == []
