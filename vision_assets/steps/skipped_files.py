"""What was not taken from a source, as counts that are stored with the images, and as a sentence."""

from collections.abc import Mapping

from vision_assets.steps.image_table import UNUSED_PAGES
from vision_assets.steps.sources.image_files import HIDDEN_FILE, MACOS_METADATA, Skipped

_SKIPPED = "skipped"
_REASON = f"{_SKIPPED}: "
_EXPECTED = (HIDDEN_FILE, MACOS_METADATA)
"""Reasons of which nobody needs to be warned: these files are never images."""


def counts_of(skipped: Skipped) -> dict[str, int]:
    """Return how many files were skipped, and how many of them for each reason."""
    reasons = {f"{_REASON}{reason}": count for reason, count in sorted(skipped.counts.items())}
    return {_SKIPPED: skipped.total, **reasons}


def unexpected(counts: Mapping[str, float]) -> dict[str, int]:
    """Return the reasons why files were skipped that may be images, each with their number.

    Examples
    --------
    >>> unexpected({"images": 3, "skipped": 3, "skipped: hidden file": 1, "skipped: larger than 1 GiB": 2})
    {'larger than 1 GiB': 2}
    """
    reasons = {name.removeprefix(_REASON): int(n) for name, n in counts.items() if name.startswith(_REASON)}
    return {reason: number for reason, number in reasons.items() if reason not in _EXPECTED}


def unused_pages(counts: Mapping[str, float]) -> int:
    """Return how many pages or frames of files are not used; earlier releases did not count them."""
    return int(counts.get(UNUSED_PAGES, 0))


def warn_of_skipped(counts: Mapping[str, float]) -> str:
    """Return sentences on the files that were skipped and the pages that are not used; empty without any.

    Examples
    --------
    >>> warn_of_skipped({"skipped": 2, "skipped: larger than 1 GiB": 2})
    '2 files were not taken from the source: larger than 1 GiB (2).'
    >>> warn_of_skipped({"unused_pages": 2})
    '2 pages or frames after the first of their file are not used; `pages: all` takes them.'
    """
    return " ".join(
        filter(None, (_files_sentence(unexpected(counts)), _pages_sentence(unused_pages(counts))))
    )


def _pages_sentence(pages: int) -> str:
    if not pages:
        return ""
    what = "page or frame" if pages == 1 else "pages or frames"
    is_not = "is not" if pages == 1 else "are not"
    return f"{pages:,} {what} after the first of their file {is_not} used; `pages: all` takes them."


def _files_sentence(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    total = sum(reasons.values())
    files = "file was" if total == 1 else "files were"
    listed = ", ".join(f"{reason} ({number:,})" for reason, number in reasons.items())
    return f"{total:,} {files} not taken from the source: {listed}."
