"""An archive on a local disk: what all formats of archives have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from vision_assets.steps.sources.image_files import ImageFiles, Patterns, Skipped, stamp
from vision_assets.steps.sources.listing import Listing, archive_stamps, listed
from vision_assets.steps.sources.place import Place
from vision_assets.steps.sources.source import Split, read_splits


class ArchiveSource(ABC):
    """A format of archives: a `vision_assets.steps.sources.source.Source`."""

    formats: ClassVar[tuple[str, ...]]
    """What the format is called in messages."""

    @abstractmethod
    def has_format(self, head: bytes) -> bool:
        """Tell whether a file that begins with these 512 bytes, or is shorter, has this format."""

    @abstractmethod
    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Read the directory of an archive.

        Parameters
        ----------
        source : str
            As the user gave it, for messages.
        path : str
        patterns : Patterns

        Returns
        -------
        Listing
            The images.
        int
            How many bytes of each name are left out: those of a single top folder.
        Skipped

        Raises
        ------
        UserError
            If the archive is damaged or incomplete, or two images have the same key.
        """

    @abstractmethod
    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[Split]:
        """Return what each task reads of the chosen images."""

    def recognizes(self, place: Place) -> bool:
        """Tell whether a place has an archive of this format that Python can read."""
        return place.path is not None and not place.is_folder and self.has_format(place.head)

    def open(self, place: Place) -> ImageFiles:
        """Choose the images of an archive."""
        path = str(place.path)
        now, status = time.time_ns(), Path(path).stat()
        listing, prefix, skipped = self.list_members(place.source, path, place.patterns)

        def read(chosen: Listing) -> ImageFiles:
            splits = self.splits(path, prefix, chosen, place.spark.sparkContext.defaultParallelism)
            images = ImageFiles(place.source, place.patterns, len(chosen), skipped)
            return read_splits(images, splits, by_driver=place.by_driver)

        times, identity = (status.st_mtime_ns, status.st_ctime_ns), (status.st_dev, status.st_ino)
        state = stamp(status.st_size, *times, identity=identity, now=now)
        stamps = partial(archive_stamps, listing, prefix, state)
        return replace(read(listing), listed=listed(listing, stamps, read))
