"""What the rows of a benchmark share: images, data folders, and measurements of the same round."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from benchmarks.commands import Called, Commands, Config, Materialized
from benchmarks.files import files_of, link_some
from benchmarks.machine import cores
from benchmarks.sample import Sample, export

_Value = TypeVar("_Value")
_Other = TypeVar("_Other")


@dataclass(frozen=True)
class Sizes:
    """How large the measurements are. The smoke tests take smaller ones."""

    k: int = 1000
    iterations: int = 10
    coded_images: int = 20
    original_images: int = 500
    growth: tuple[int, ...] = (1, 2, 4, 8)
    words: tuple[int, ...] = (256, 1000, 4000, 16_000, 50_000)
    words_images: int = 1000
    words_descriptors: int = 500_000
    extractor_images: int = 1000
    photo: tuple[int, int] = (6000, 4000)
    photos_per_core: int = 2
    small_side: int = 300
    max_side: int = 1600
    starts: int = 5


class Bench:
    """One benchmark on a folder of images."""

    def __init__(self, commands: Commands, images: Path, folder: Path, sizes: Sizes | None = None) -> None:
        self.commands = commands
        self.images = images
        self.count = len(files_of(images))
        self.folder = folder
        self.sizes = sizes or Sizes()
        self.cores = cores()
        self._data = folder / "data"
        self._kept: dict[str, object] = {}
        self._round: dict[str, object] = {}
        self._rounds = 0

    def next_round(self) -> None:
        """Have everything measured again."""
        self._round.clear()
        self._rounds += 1

    def in_turns(self, ours: Callable[[], _Value], theirs: Callable[[], _Other]) -> tuple[_Value, _Other]:
        """Measure both sides. We go first in rounds 1, 3, ...; peers need the tables of round 1."""
        if self._rounds % 2:
            return ours(), theirs()
        found = theirs()
        return ours(), found

    def in_round(self, name: str, measure: Callable[[], _Value]) -> _Value:
        """Measure something that several rows need, once in a round."""
        return _kept(self._round, name, measure)

    def once(self, name: str, make: Callable[[], _Value]) -> _Value:
        """Make something that all rounds need."""
        return _kept(self._kept, name, make)

    def job(self) -> Materialized:
        """Return this round's run of the full job on all images, always on an empty data folder."""
        return self.in_round("job", self._run_job)

    def _run_job(self) -> Materialized:
        if "first" not in self._kept:
            shutil.rmtree(self._data, ignore_errors=True)  # of one that failed
            return self.once("first", lambda: self.run_job(self._data, self.images))
        with self.scratch("data") as data:
            return self.run_job(data, self.images)

    def run_job(
        self, data: Path, images: Path, config: Config | None = None, *, watched: bool = False
    ) -> Materialized:
        """Run the full job on a folder of images."""
        settings: Config = {
            "image_seqfile": {"source": str(images)},
            "kmeans_dictionary": self.kmeans(),
            **(config or {}),
        }
        return self.commands.materialize(data, config=settings, watched=watched)

    def kmeans(self, **settings: Any) -> dict[str, Any]:
        """Return the settings of kmeans_dictionary: every iteration is done, as by its peers."""
        return {"k": self.sizes.k, "max_iter": self.sizes.iterations, "tol": 0.0, **settings}

    def _first(self) -> Materialized:
        """Return the first run of the full job, whose tables stay."""
        if "first" not in self._kept:
            self.job()
        return cast("Materialized", self._kept["first"])

    @property
    def data(self) -> Path:
        """The data folder of the first run."""
        self._first()
        return self._data

    def table(self, asset: str) -> str:
        """Return the folder of a table that the first run made."""
        return str(self._first().metadata[asset]["dagster/uri"])

    @property
    def descriptors(self) -> int:
        """Number of descriptors of all images."""
        return int(self._first().metadata["sift_features"]["descriptors"])

    def sample(self) -> Sample:
        """Return the descriptors that the first run trained on, and its initial centres."""
        return self.once(
            "sample",
            lambda: export(self.table("sift_features"), self.descriptors, self.sizes.k, self.folder),
        )

    def call(self, module: str, *, threads: int = 1, kernel: str | None = None, **arguments: Any) -> Called:
        """Run a peer with so many threads in each of its processes."""
        return self.commands.call(f"benchmarks.{module}", threads=threads, kernel=kernel, **arguments)

    def some_images(self, count: int) -> Path:
        """Return a folder of evenly spaced images, the folder of all if there are no more."""
        if count >= self.count:
            return self.images
        folder = self.folder / f"{count}_images"
        return folder if folder.exists() else link_some(self.images, count, folder)

    def photos(self) -> Path:
        """Return a folder of large images."""
        return self.once("photos", self._make_photos)

    def _make_photos(self) -> Path:
        folder, (width, height) = self.folder / "photos", self.sizes.photo
        self.call("photos", folder=folder, count=self.photo_count, width=width, height=height)
        return folder

    @property
    def photo_count(self) -> int:
        return self.sizes.photos_per_core * self.cores

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Have a path to something that is not needed later."""
        path = self.folder / f"scratch_{name}"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _kept(values: dict[str, object], name: str, make: Callable[[], _Value]) -> _Value:
    if name not in values:
        values[name] = make()
    return cast("_Value", values[name])
