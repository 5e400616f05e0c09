"""The images of a source: which were chosen, which were skipped and why, and how they are read."""

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
from vision_assets.vision.io.headers import looks_like_image
from vision_assets.vision.io.labels import folders_of

MAX_IMAGE_BYTES = 1 << 30
"""An array of the JVM, which has to take an image and copies of it, ends at 2 GiB."""

MAX_EXAMPLES = 20

_SECOND = 10**9
_FINE_TICK = 2 * 10**7
_COARSE_TICK = 2 * _SECOND  # the one of FAT

NOT_MATCHED = "name matches no pattern"
TOO_LARGE = "larger than 1 GiB"
MACOS_METADATA = "macOS metadata"
HIDDEN_FILE = "hidden file"
_TOOL_FOLDERS = {
    *("@eadir", "@tmp", "@synoresource", "@synoeastream", "@sharesnap", "@recently-snapshot"),
    *("@recycle", "#recycle", "#snapshot", "~snapshot", "$recycle.bin", "recycler", "recycled", "found.000"),
    *("system volume information", "lost+found", "network trash folder", "temporary items"),
    *("__macosx", "__pycache__", "_vti_cnf"),
}
"""Folders beside the pictures that programs make and hide from people, in lower case."""

LINK = "link"
SPECIAL = "not a regular file"
ENCRYPTED = "encrypted"
ARCHIVE = "archive inside an archive"

Pair = tuple[str, bytes]


@dataclass
class Skipped:
    """What was not taken from a source.

    Parameters
    ----------
    counts : dict
        Reason to number of names.
    examples : list of (str, str)
        The first few names, each with its reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of skipped names, for any reason."""
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
    """Glob patterns for file names; case is ignored.

    Parameters
    ----------
    patterns : sequence of str
    by_content : bool
        Whether a file whose name does not match is taken if its content begins like an image.

    Raises
    ------
    UserError
        If there is no pattern, or one has a folder or nothing in it.
    """

    def __init__(self, patterns: Sequence[str], *, by_content: bool = False) -> None:
        if isinstance(patterns, str) or not patterns:
            raise UserError(
                f"no list of file name patterns: {patterns!r}. Set one such as ['*.jpg', '*.png']."
            )
        for pattern in patterns:
            if "/" in pattern or not pattern:
                raise UserError(
                    f"pattern {pattern!r} is empty or names a folder. Use patterns for file names."
                )
        self.globs = tuple(patterns)
        self.by_content = by_content
        self._regex = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))

    def match(self, name: str) -> bool:
        """Tell whether the last part of a path matches."""
        return self._regex.match(posixpath.basename(name).lower()) is not None

    def reason_to_skip(self, name: str, size: int, head: Callable[[], bytes]) -> str | None:
        """Return why a regular file is not taken; None if it is taken.

        Parameters
        ----------
        name : str
            Its path in the source.
        size : int
            Bytes.
        head : callable
            Reads its first `vision_assets.vision.io.headers.START_BYTES` bytes or more; called only if the
            name does not decide.
        """
        if posixpath.basename(name).startswith("._"):
            return MACOS_METADATA
        if folder := hidden_folder(name):
            return in_folder(folder)
        if not self.match(name):
            if posixpath.basename(name).startswith("."):
                return HIDDEN_FILE
            if not (self.by_content and looks_like_image(head())):
                return NOT_MATCHED
        return TOO_LARGE if size > MAX_IMAGE_BYTES else None


def hidden_folder(name: str) -> str | None:
    """Return the first folder of a path that programs have made for themselves; None if there is none.

    Its files are copies and previews, which would become a class of images.

    Examples
    --------
    >>> hidden_folder("cat/.ipynb_checkpoints/1-checkpoint.jpg")
    '.ipynb_checkpoints'
    >>> hidden_folder("cat/.1.jpg") is None
    True
    """
    return next(filter(is_hidden, folders_of(name)), None)


def is_hidden(folder: str) -> bool:
    """Return whether a folder of this name is hidden, or known to be a program's own."""
    return (folder.startswith(".") and folder not in (".", "..")) or folder.lower() in _TOOL_FOLDERS


def in_folder(folder: str) -> str:
    """Return the reason to skip what is in a hidden folder."""
    return f"in a folder {folder}"


@dataclass(frozen=True)
class Listed:
    """What is known of each chosen image before it is read.

    Attributes
    ----------
    stamps : callable
        Returns a table of ``fileName`` and ``stamp``. An image with the same stamp as at another time has not
        changed in between; null says nothing.
    select : callable
        Takes an ndarray of shape (count,), dtype bool; returns these images, to be read.
    """

    stamps: Callable[[], pa.Table]
    select: "Callable[[NDArray[np.bool_]], ImageFiles]"


@dataclass(frozen=True)
class ImageFiles:
    """The images chosen from a source, not read yet.

    The workers read them, or the driver's own process, or each a part.

    Attributes
    ----------
    source : str
        Where they are, as the user gave it.
    patterns : Patterns
        The patterns that chose them.
    count : int, optional
        How many were chosen; None if only reading the source tells.
    skipped : Skipped
        What was not chosen.
    by_workers : callable, optional
        Takes a SparkContext and returns an RDD of (key, bytes).
    by_driver : callable, optional
        Yields (key, bytes) in the driver.
    to_upload : sequence of str
        Local paths of SequenceFiles that the workers read after an upload to the cluster's storage.
    listed : Listed, optional
        What is known of each image; None if the source only tells when it is read.
    every_page : bool
        Whether each page or frame of a file becomes an image of its own.
    """

    source: str
    patterns: Patterns
    count: int | None
    skipped: Skipped
    by_workers: "Callable[[SparkContext], RDD[Pair]] | None" = None
    by_driver: Callable[[], Iterator[Pair]] | None = None
    to_upload: Sequence[str] = ()
    listed: Listed | None = None
    every_page: bool = False
    close: Callable[[], object] = field(default=lambda: None, repr=False)
    """Removes temporary files, if there are any. Leaving a `with` block calls it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def stamp(size: int, *times: int, identity: Sequence[int] = (), now: int | None = None) -> str | None:
    """Return a stamp that differs between two states of a file.

    Parameters
    ----------
    size : int
        Bytes.
    *times : int
        Times of its changes, in nanoseconds since 1970.
    identity : sequence of int
        Device and inode, or what stands for them: other files may take a place by a rename of their folder,
        which changes no time.
    now : int, optional
        A time before its state was read, in the same unit; None takes the current time.

    Returns
    -------
    str or None
        None for a file that was changed just now. It could change again within the same tick of the file
        system's clock, and would look unchanged.
    """
    newest = max(times)
    tick = _FINE_TICK if newest % _SECOND else _COARSE_TICK
    if newest > (time.time_ns() if now is None else now) - tick:
        return None
    return ".".join(map(str, (size, *times, *identity)))


def no_images(source: str, patterns: Patterns, skipped: Skipped) -> UserError:
    """Return the error about a source from which nothing was chosen."""
    if not skipped.total:
        return UserError(f"{source!r} is empty: it has no files. Name a source with images.")
    shown = ", ".join(f"{name!r} ({reason})" for name, reason in skipped.examples[:3])
    problem = f"no image in {source!r}: {skipped.total} skipped, such as {shown}"
    if ENCRYPTED in skipped.counts:
        return UserError(
            f"{problem}.\nEncrypted members are not read: create the archive again without a password."
        )
    return UserError(f"{problem}.\nPatterns: {', '.join(patterns.globs)}")
