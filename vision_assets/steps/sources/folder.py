"""A folder that Python can read. The driver lists it; workers or the driver open each file."""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import (
    LINK,
    SPECIAL,
    ImageFiles,
    Pair,
    Patterns,
    Skipped,
    in_folder,
    is_hidden,
    stamp,
)
from vision_assets.steps.sources.listing import Entries, Listing, clean_key, listed
from vision_assets.steps.sources.place import Place
from vision_assets.steps.sources.source import read_splits
from vision_assets.vision.io.headers import START_BYTES

Identity = tuple[int, int]


@dataclass(frozen=True)
class FolderSplit:
    """Some files of a folder."""

    root: bytes
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each file's key and bytes.

        Raises
        ------
        UserError
            If a file can no longer be read.
        """
        for name, _ in self.entries:
            # Bytes, because driver and worker may run with different locales.
            path = os.path.join(self.root, name)  # noqa: PTH118 - pathlib takes no bytes
            try:
                with open(path, "rb") as file:  # noqa: PTH123 - idem
                    data = file.read()
            except OSError as error:
                raise UserError(
                    f"cannot read {_show(path)}: {error.strerror}. It existed when the folder was listed. "
                    "Every worker has to reach it, or set the reader to 'driver'."
                ) from error
            yield folder_key(name), data


class FolderSource:
    """A local folder."""

    formats = ("folder",)

    def recognizes(self, place: Place) -> bool:
        """Tell whether a place is a folder that Python can read."""
        return place.path is not None and place.is_folder

    def open(self, place: Place) -> ImageFiles:
        """Choose the images of a folder; see `list_folder`."""
        now, path = time.time_ns(), str(place.path)
        listing, skipped = list_folder(place.source, path, place.patterns)

        def read(chosen: Listing) -> ImageFiles:
            cut = chosen.cut(place.spark.sparkContext.defaultParallelism)
            splits = [FolderSplit(os.fsencode(path), entries) for entries in cut]
            images = ImageFiles(place.source, place.patterns, len(chosen), skipped)
            return read_splits(images, splits, by_driver=place.by_driver)

        def stamps() -> Iterator[tuple[str, str | None]]:
            for name, (size, modified, changed, *identity) in listing.rows():
                yield folder_key(name), stamp(size, modified, changed, identity=identity, now=now)

        return replace(read(listing), listed=listed(listing, stamps, read))


def list_folder(source: str, path: str, patterns: Patterns) -> tuple[Listing, Skipped]:
    """List the images below a folder, in the order of their names. Links are followed.

    Returns
    -------
    Listing
        The images with size, times of the last change of content and of state, in nanoseconds, device and
        inode.
    Skipped

    Raises
    ------
    UserError
        If a folder cannot be listed.
    """
    root = os.fsencode(path)
    listing, skipped = Listing(further_numbers=4), Skipped()
    for name, entry in walk(root, skipped):
        key = folder_key(name)
        try:
            status = entry.stat()
        except OSError as error:
            skipped.add(key, f"dangling {LINK}" if entry.is_symlink() else str(error.strerror))
            continue
        if not stat.S_ISREG(status.st_mode):
            skipped.add(key, SPECIAL)
        elif reason := _reason_to_skip(patterns, key, status.st_size, entry.path):
            skipped.add(key, reason)
        else:
            times = max(0, status.st_mtime_ns), max(0, status.st_ctime_ns)
            listing.add(name, status.st_size, *times, status.st_dev, status.st_ino)
    return listing, skipped


def _reason_to_skip(patterns: Patterns, key: str, size: int, path: bytes) -> str | None:
    try:
        return patterns.reason_to_skip(key, size, partial(_read_head, path))
    except OSError as error:
        return str(error.strerror)


def _read_head(path: bytes) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        return file.read(START_BYTES)


def folder_key(name: bytes) -> str:
    """Return the key of a file of a folder."""
    return clean_key(_text(name))


def walk(root: bytes, skipped: Skipped) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """Yield the relative path of everything below a folder except folders, in the order of the names.

    Hidden folders are left out.

    Raises
    ------
    UserError
        If a folder cannot be listed.
    """
    # Links come last, so that a folder is read under its own name. Each folder is read once, because cycles
    # of links would never end.
    folders, links = [b""], list[bytes]()
    seen: set[Identity] = set()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        path = os.path.join(root, folder) if folder else root  # noqa: PTH118
        try:
            status = os.stat(path)  # noqa: PTH116
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                skipped.add(clean_key(_text(folder)), f"{LINK} to a folder that is read anyway")
                continue
            seen.add(identity)
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"cannot list the folder {_show(path)}: {error.strerror}.\n"
                "Grant read access, or move it elsewhere."
            ) from error
        inside: list[bytes] = []
        for entry in entries:
            name = folder + b"/" + entry.name if folder else entry.name
            if _is_folder(entry):
                if is_hidden(_text(entry.name)):
                    skipped.add(f"{clean_key(_text(name))}/", in_folder(_text(entry.name)))
                else:
                    (links if entry.is_symlink() else inside).append(name)
            else:
                yield name, entry
        folders.extend(reversed(inside))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _show(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
