"""A small run of every row of the benchmarks. Times do not matter here."""

import json
import math
import os
import shutil
import tarfile
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
from pyspark.sql import SparkSession

from benchmarks import stored
from benchmarks.__main__ import Results, main
from benchmarks.bench import Bench, Sizes
from benchmarks.commands import (
    ASSETS,
    Called,
    CommandError,
    Commands,
    Config,
    Materialized,
    NotInstalledError,
)
from benchmarks.drawn import write
from benchmarks.files import files_of, link_copies, link_some, spread
from benchmarks.inertia import inertia
from benchmarks.memory import Watch
from benchmarks.original.coding import code
from benchmarks.peers.bare_encoding import encode
from benchmarks.report import Line, Report, Row, compare
from benchmarks.rows import ROWS
from benchmarks.rows.growth import fit
from vision_assets_tests.pipeline import Runner, read_table

pytestmark = pytest.mark.whole

NEED_SPARK = (
    "benchmarks.extract",
    "benchmarks.warm_encoding",
    "benchmarks.peers.kmeans_mllib",
    "benchmarks.original.",
)
SIZES = Sizes(
    k=8,
    coded_images=3,
    original_images=6,
    growth=(1, 2),
    words=(4, 8, 100_000),
    photo=(480, 320),
    photos_per_core=1,
    max_side=100,
    starts=1,
)


class InTestsJvm(Commands):
    """Calls in the tests' own JVM what needs one."""

    def call(
        self, module: str, *, threads: int | None = None, kernel: str | None = None, **arguments: Any
    ) -> Called:
        if not module.startswith(NEED_SPARK):
            return super().call(module, threads=threads, kernel=kernel, **arguments)
        passed = json.loads(json.dumps(arguments, default=str))
        started = time.monotonic()
        figures = json.loads(json.dumps(import_module(module).measure(**passed)))
        seconds = time.monotonic() - started
        return Called(seconds, figures | {"inside": seconds})


class InProcess(InTestsJvm):
    """Runs the assets there, too, and the full job once for all folders of images."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._jobs: dict[str, tuple[Path, Materialized]] = {}

    def materialize(
        self, data: Path, *assets: str, config: Config | None = None, watched: bool = False
    ) -> Materialized:
        settings: dict[str, Any] = {name: dict(of) for name, of in (config or {}).items()}
        if assets:
            return self._run(data, assets, settings)
        source = settings.pop("image_seqfile")["source"]
        assert files_of(Path(source))
        job = json.dumps(settings)
        if job not in self._jobs:
            self._jobs[job] = data, self._run(data, ASSETS, settings | {"image_seqfile": {"source": source}})
        kept, materialized = self._jobs[job]
        if not data.exists() and kept.exists():  # else it is not read
            shutil.copytree(kept, data)
        return materialized

    @staticmethod
    def _run(data: Path, assets: tuple[str, ...], settings: dict[str, Any]) -> Materialized:
        started = time.monotonic()
        with Watch(os.getpid()) as watch:
            result = Runner(data).run(None, *assets, **settings)
        metadata = {asset: Runner.metadata(result, asset) for asset in assets}
        return Materialized(time.monotonic() - started, metadata, watch.peak)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, image_folder: Path, spark: SparkSession) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    return Bench(InProcess(folder / "commands"), image_folder, folder, SIZES)


@pytest.fixture(scope="module")
def measured(bench: Bench) -> "Measured":
    return Measured(bench)


class Measured:
    """Each row once, when it is asked for."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._figures: dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        if name not in self._figures:
            self._figures[name] = ROWS[name].measure(self._bench)
        return self._figures[name]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_gives_figures(measured: Measured, name: str) -> None:
    figures = measured[name]
    assert figures
    assert all(math.isfinite(value) and value > 0 for value in figures.values()), figures
    report = ROWS[name].report([figures, figures])
    assert report.lines
    for line in report.lines:
        assert line.subject
        assert line.ours
        assert line.target
        assert bool(line.against) == bool(line.theirs or line.ratio)


def test_the_bare_pool_finds_the_same_descriptors(measured: Measured) -> None:
    assert measured["sift"]["bare_descriptors"] == measured["sift"]["descriptors"]
    assert measured["sift"]["images"] == 12


@pytest.mark.parametrize("row", ["kmeans_mllib", "kmeans_faiss", "kmeans_sklearn"])
def test_every_kmeans_ends_at_the_same_inertia(measured: Measured, row: str) -> None:
    assert measured[row]["their_inertia"] == pytest.approx(measured[row]["inertia"], rel=0.01)


def test_the_peers_have_the_sample_and_the_start_of_the_project(bench: Bench, measured: Measured) -> None:
    sample = bench.sample()
    descriptors, initial = np.load(sample.descriptors), np.load(sample.initial)
    assert len(descriptors) == measured["kmeans_faiss"]["descriptors"]
    assert inertia(descriptors, initial) == pytest.approx(
        measured["kmeans_faiss"]["initial_inertia"],
        rel=1e-8,  # the metadata has nine digits
    )


def test_inertia_is_that_of_the_nearest_centers(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (50, 8), np.uint8)
    centers = rng.uniform(0, 255, (7, 8))
    squares = np.square(descriptors[:, None] - centers).sum(axis=2)
    assert inertia(descriptors, centers) == pytest.approx(squares.min(axis=1).sum())


def test_the_peers_encode_as_the_project_does(bench: Bench) -> None:
    centers = stored.centers(bench.table("kmeans_dictionary"))
    images = dict(stored.images(bench.table("sift_features")))
    encodings = read_table(Path(bench.table("bow_encodings")))
    assert encodings["fileName"].tolist() == sorted(images)
    for name, bow in zip(encodings["fileName"], encodings["bow"], strict=True):
        np.testing.assert_allclose(encode(images[name], centers), bow, rtol=1e-3)
    some = images[name][:50]
    coded = code(list(centers.astype(np.float64)), "sum", some.tolist())
    np.testing.assert_allclose(coded.bow, encode(some, centers), rtol=1e-3)
    largest = code(list(centers.astype(np.float64)), "max", some.tolist())
    assert max(largest.bow) <= max(coded.bow)


def test_some_of_the_stored_images(bench: Bench) -> None:
    features = bench.table("sift_features")
    everything = dict(stored.images(features))
    assert sorted(name for name, _ in stored.images(features, 3)) == sorted(everything)[::4]


def test_the_source_is_extracted_evenly(image_folder: Path, tmp_path: Path, spark: SparkSession) -> None:
    extract = import_module("benchmarks.extract").measure
    assert extract(str(image_folder), 4, str(tmp_path)) == {"images": 12}
    names = [file.relative_to(image_folder) for file in files_of(image_folder)]
    assert [file.relative_to(tmp_path) for file in files_of(tmp_path)] == names[::3]


def test_linked_folders(image_folder: Path, tmp_path: Path) -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread("ab", 5) == ["a", "b"]
    flat = files_of(link_some(image_folder, 3, tmp_path / "flat", flat=True))
    assert [file.name for file in flat] == ["000000.jpg", "000001.jpg", "000002.jpg"]
    copies = files_of(link_copies(image_folder, 2, tmp_path / "copies"))
    assert len(copies) == 24
    assert copies[0].read_bytes() == copies[12].read_bytes() == flat[0].read_bytes()


def test_sides_take_turns_at_going_first(tmp_path: Path) -> None:
    bench = Bench(Commands(tmp_path / "commands"), tmp_path, tmp_path)
    order: list[str] = []

    def measure(side: str) -> str:
        order.append(side)
        return side

    for _ in range(3):
        bench.next_round()
        found = bench.in_turns(lambda: measure("ours"), lambda: measure("theirs"))
        assert found == ("ours", "theirs")
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_drawn_images_are_the_same_again(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.tar", "two.tar")]
    for file in files:
        write(5, file, per_class=3)
    assert files[0].read_bytes() == files[1].read_bytes()
    with tarfile.open(files[0]) as tar:
        assert tar.getnames() == ["class_000.tar", "class_001.tar"]
        last = tar.extractfile("class_001.tar")
        assert last
        with tarfile.open(fileobj=last) as inner:
            assert inner.getnames() == ["image_000000.jpg", "image_000001.jpg"]


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    rounds = [{"ours": 1.0, "theirs": 2.0}, {"ours": 10.0, "theirs": 10.0}, {"ours": 1.0, "theirs": 4.0}]
    line = compare(rounds, "we", "ours", "they", "theirs", "≤ 2")
    assert (line.ours, line.theirs, line.ratio) == ("1.00 s", "4.00 s", "0.50 (0.25 to 1.00)")
    line = compare(rounds, "we", "ours", "they", "theirs", "≥ 2 times faster", faster=True)
    assert line.ratio == "2.00 times faster (1.00 to 4.00)"


def test_growth_is_measured_without_the_start_up() -> None:
    exact = fit([1, 2, 4, 8], [12.0, 14.0, 18.0, 26.0])
    assert exact.start == pytest.approx(10)
    assert exact.deviations == pytest.approx([0] * 4, abs=1e-9)
    assert max(map(abs, fit([1, 2, 4, 8], [12.0, 14.0, 18.0, 30.0]).deviations)) > 0.05


def test_what_is_not_installed_is_named(tmp_path: Path, bench: Bench) -> None:
    commands = Commands(tmp_path)
    with pytest.raises(NotInstalledError, match="no_such_package"):
        commands.call("no_such_package.peer")
    with pytest.raises(CommandError, match="missing 1 required positional argument"):
        commands.call("benchmarks.peers.kmeans_faiss", descriptors="", iterations=1)

    def lacking(_: Bench) -> Mapping[str, Any]:
        raise NotInstalledError("faiss")

    row = Row("kmeans_faiss", lacking, lambda _: Report([]))
    results = Results([row])
    results.measure(row, bench)
    assert not results.failed
    assert "| kmeans_faiss |  |  |  |  |  | not measured: faiss is not installed |" in results.text("images")


def test_an_interrupt_ends_all_that_a_command_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    opened: list[TextIO] = []

    def interrupted(*_: object, **__: object) -> None:
        opened.append(pipe.open())
        assert opened[0].readline() == "started\n"
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.commands._wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Commands(tmp_path / "commands").run(
            "sh", "-c", f"(echo started; sleep 20; echo left) >'{pipe}' & wait"
        )
    with opened[0] as reader:
        assert reader.read() == ""


def test_what_was_measured_before_a_failure_stays(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([{"value": 1}])
    row = Row("row", lambda _: next(answers), lambda rounds: Report([Line("row", f"{len(rounds)} round")]))
    results = Results([row])
    results.measure(row, bench)
    results.measure(row, bench)
    assert results.failed
    assert "StopIteration" in capsys.readouterr().err
    text = results.text("images")
    assert "| row | 1 round |" in text
    assert "| row |  |  |  |  |  | failed: StopIteration() |" in text
    assert not list(results.left(first=False))


def test_the_command(
    image_folder: Path,
    tmp_path: Path,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    temporary, file = tmp_path / "temporary", tmp_path / "table.md"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr("benchmarks.__main__.Commands", InTestsJvm)
    options = f"--images 6 --k 8 --rounds 1 --rows sift --output {file}".split()
    status = main(["--source", str(image_folder), *options])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "- images: 6 of 12 images, " in printed.out
    assert "| `sift_features` | " in printed.out
    assert file.read_text() == printed.out
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("option", "value"), [("--rows", "sift,shift"), ("--rows", ","), ("--images", "0"), ("--rounds", "many")]
)
def test_wrong_options_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([option, value])
    assert f"argument {option}: " in capsys.readouterr().err
