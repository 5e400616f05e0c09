"""What a source yields: which images were chosen, what was skipped and why, and how to read them."""

import fnmatch
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import RDD, SparkContext

from vision_assets.errors import UserError

MAX_IMAGE_BYTES = 1 << 30
"""A JVM array, which has to hold a whole value and its copies, ends at 2 GiB."""

MAX_EXAMPLES = 20

_SECOND = 10**9
_FINE_TICK = 2 * 10**7
_COARSE_TICK = 2 * _SECOND  # of FAT

NOT_MATCHED = "name matches no pattern"
TOO_LARGE = "larger than 1 GiB"
MACOS_METADATA = "macOS metadata"
LINK = "link"
SPECIAL = "not a regular file"

Pair = tuple[str, bytes]


@dataclass
class Skipped:
    """What was not taken from a source: how many per reason, and the first few by name."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of names skipped, for whatever reason."""
        return sum(self.counts.values())

    def add(self, name: str, reason: str) -> None:
        """Count one name."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append((name, reason))

    def __add__(self, other: "Skipped") -> "Skipped":
        counts = dict(self.counts)
        for reason, count in other.counts.items():
            counts[reason] = counts.get(reason, 0) + count
        return Skipped(counts, (self.examples + other.examples)[:MAX_EXAMPLES])


class Patterns:
    """Glob patterns for the file name, without regard to case."""

    def __init__(self, patterns: Sequence[str]) -> None:
        if isinstance(patterns, str) or not patterns:
            raise UserError(f"no file name patterns in {patterns!r}: give a list such as ['*.jpg', '*.png']")
        for pattern in patterns:
            if "/" in pattern or not pattern:
                raise UserError(f"pattern {pattern!r} has a folder or nothing in it: give file names")
        self.globs = tuple(patterns)
        self._regex = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))

    def match(self, name: str) -> bool:
        """Tell whether the last part of a path matches."""
        return self._regex.match(posixpath.basename(name).lower()) is not None

    def reason_to_skip(self, name: str, size: int) -> str | None:
        """Tell why a regular file is not taken, None when it is."""
        if posixpath.basename(name).startswith("._"):
            return MACOS_METADATA
        if not self.match(name):
            return NOT_MATCHED
        return TOO_LARGE if size > MAX_IMAGE_BYTES else None


@dataclass(frozen=True)
class Listed:
    """What is known of each chosen image before it is read.

    Attributes
    ----------
    stamps : callable
        Makes a table of ``fileName`` and ``stamp``. An image whose stamp is the same as at another time has
        not changed meanwhile; null says nothing.
    only : callable
        Takes an ndarray of shape (count,), dtype bool; returns those images alone, to be read.
    """

    stamps: Callable[[], pa.Table]
    only: "Callable[[NDArray[np.bool_]], ImageFiles]"


@dataclass(frozen=True)
class ImageFiles:
    """The images chosen from a source, not read yet.

    A source is read by the workers, by the driver's own process, or part by each.

    Attributes
    ----------
    source : str
        Where they are, as the user gave it.
    patterns : Patterns
        The patterns that chose them.
    count : int, optional
        How many were chosen; None when only reading all of it can tell.
    skipped : Skipped
        What was not chosen.
    by_workers : callable, optional
        Makes an RDD of (key, bytes).
    by_driver : callable, optional
        Yields (key, bytes) in the driver.
    to_upload : sequence of str
        Local paths of SequenceFiles that the workers read once they are on the cluster's storage.
    listed : Listed, optional
        None of a source that does not say which images it holds until it is read.
    """

    source: str
    patterns: Patterns
    count: int | None
    skipped: Skipped
    by_workers: "Callable[[SparkContext], RDD[Pair]] | None" = None
    by_driver: Callable[[], Iterator[Pair]] | None = None
    to_upload: Sequence[str] = ()
    listed: Listed | None = None
    close: Callable[[], object] = field(default=lambda: None, repr=False)
    """Removes temporary files, if there are any. Leaving a `with` block does it as well."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def stamp(size: int, *times: int, now: int | None = None) -> str | None:
    """Return what tells one state of a file from another.

    Parameters
    ----------
    size : int
        Bytes.
    *times : int
        When it was changed, in nanoseconds since 1970.
    now : int, optional
        Before its state was looked up, in the same unit.

    Returns
    -------
    str or None
        None of a file that was changed just now: it could change again within the same tick of the file
        system's clock, and be taken for unchanged then.
    """
    newest = max(times)
    tick = _FINE_TICK if newest % _SECOND else _COARSE_TICK
    if newest > (time.time_ns() if now is None else now) - tick:
        return None
    return ".".join(map(str, (size, *times)))


def no_images(source: str, patterns: Patterns, skipped: Skipped) -> UserError:
    """Make the error for a source from which nothing was chosen."""
    if not skipped.total:
        return UserError(f"{source!r} is empty: there is no file in it. Name a source with images.")
    shown = ", ".join(f"{name!r} ({reason})" for name, reason in skipped.examples[:3])
    globs = ", ".join(patterns.globs)
    return UserError(f"no image in {source!r}: {skipped.total} skipped, such as {shown}.\nPatterns: {globs}")
