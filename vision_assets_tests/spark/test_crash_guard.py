"""What ends a worker costs one image: with real crashes, in a Spark session whose decoder crashes."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from vision_assets.spark.crash_guard import Crash, run_isolated
from vision_assets.steps.features import extract
from vision_assets.steps.image_table import IMAGE_SCHEMA
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.io.labels import label_of
from vision_assets_tests.spark.crashing_workers import crashing
from vision_assets_tests.vision import images

Files = list[tuple[str, bytes]]
Crashers = dict[int, str]

_EXTRACT = """
import pickle, sys
from pathlib import Path
from vision_assets.steps.features import extract
from vision_assets.spark.properties import spark_config
from vision_assets.spark.session import start_session
from vision_assets.steps.image_table import IMAGE_SCHEMA
from vision_assets.vision.features.sift import SiftOptions

spark = start_session(spark_config() | {"spark.python.daemon.module": sys.argv[2]})
file = Path(sys.argv[1])
cases = pickle.loads(file.read_bytes())
rows = {
    case: extract(spark.createDataFrame(files, IMAGE_SCHEMA).coalesce(1), SiftOptions()).to_frame().collect()
    for case, files in cases.items()
}
file.write_bytes(pickle.dumps(rows))
"""

# Case to number of images and the crashes among them; "once" is a crash that does not come again.
CASES: dict[str, tuple[int, Crashers]] = {
    "one among many": (40, {17: "SIGSEGV"}),
    "ten of twelve": (12, dict.fromkeys(range(1, 11), "SIGABRT")),
    "all": (3, dict.fromkeys(range(3), "SIGSEGV")),
    "first and last": (5, {0: "exit", 4: "SIGKILL"}),
    "a hang": (5, {2: "hang"}),
    "all sorts": (8, {1: "SIGKILL", 2: "exit", 5: "SIGABRT", 6: "SIGSEGV"}),
}
# Case to what is killed at image 2, from outside as far as it can know.
KILLED = {"worker killed": "SIGKILL", "worker and daemon killed": "daemon"}
ERRORS = {
    "SIGSEGV": "the extractor crashed on it (SIGSEGV)",
    "SIGABRT": "the extractor crashed on it (SIGABRT)",
    "SIGKILL": "the extractor crashed on it (SIGKILL: out of memory?)",
    "exit": "the extractor crashed on it (exit status 1)",
    "hang": "took longer than 0.05 minutes",
}


def files_of(case: str, folder: Path) -> Files:
    count, crashers = CASES.get(case, (5, {2: KILLED.get(case, "")}))
    once = folder / case if case in KILLED else None
    plain = [images.jpeg(images.textured(seed=number)) for number in range(count)]
    return [
        (f"{case}/{number:02}.jpg", crashing(data, crashers[number], once) if number in crashers else data)
        for number, data in enumerate(plain)
    ]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    folder = tmp_path_factory.mktemp("once")
    return {case: files_of(case, folder) for case in (*CASES, *KILLED)}


@pytest.fixture(scope="module")
def crashed(cases: dict[str, Files], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The rows of all cases from a session whose decoder crashes."""
    file = tmp_path_factory.mktemp("cases") / "cases"
    file.write_bytes(pickle.dumps(cases))
    daemon = "vision_assets_tests.spark.crashing_workers"
    result = subprocess.run(
        [sys.executable, "-c", _EXTRACT, str(file), daemon], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    rows: dict[str, list[Row]] = pickle.loads(file.read_bytes())
    return rows


@pytest.fixture(scope="module")
def undisturbed(cases: dict[str, Files], spark: SparkSession) -> dict[str, Row]:
    """The row of every image from a session whose decoder does not crash."""
    files = [file for files in cases.values() for file in files]
    return {
        row.fileName: row
        for row in extract(spark.createDataFrame(files, IMAGE_SCHEMA), SiftOptions()).to_frame().collect()
    }


@pytest.mark.whole
@pytest.mark.parametrize("case", CASES)
def test_a_crash_costs_one_image(
    case: str, cases: dict[str, Files], crashed: dict[str, list[Row]], undisturbed: dict[str, Row]
) -> None:
    crashers = CASES[case][1]
    assert [row.fileName for row in crashed[case]] == [name for name, _ in cases[case]]
    for number, row in enumerate(crashed[case]):
        fine = undisturbed[row.fileName]
        if number not in crashers:
            assert row == fine
            continue
        assert row.error == ERRORS[crashers[number]]
        assert (row.digest, row.label, label_of(row.fileName)) == (fine.digest, case, case)
        assert (row.width, row.height, row.keypointCount) == (None, None, 0)
        assert not row.keypoints
        assert not row.descriptors


@pytest.mark.whole
@pytest.mark.parametrize("case", KILLED)
def test_what_is_killed_from_outside_costs_no_image(
    case: str, cases: dict[str, Files], crashed: dict[str, list[Row]], undisturbed: dict[str, Row]
) -> None:
    assert crashed[case] == [undisturbed[name] for name, _ in cases[case]]


@pytest.fixture
def in_worker(spark: SparkSession) -> Callable[[Callable[[Any], Any], list[Any]], list[Any]]:
    """Call `run_isolated` in a worker of Spark."""

    def run(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        task = spark.sparkContext.parallelize([0], 1)
        return task.mapPartitions(lambda _: run_isolated(function, items)).collect()

    return run


def test_results_of_any_size_come_back_in_order(in_worker: Callable) -> None:
    sizes = [0, 1, 2**16, 50_000_000, 3]
    found = in_worker(lambda size: (size, np.arange(size, dtype=np.uint8)), sizes)
    for size, (number, values) in zip(sizes, found, strict=True):
        assert number == size
        np.testing.assert_array_equal(values, np.arange(size, dtype=np.uint8))


def test_nothing_to_do(in_worker: Callable) -> None:
    assert in_worker(lambda item: item, []) == []


def test_an_item_after_which_the_process_is_damaged_is_the_only_one_at_fault(in_worker: Callable) -> None:
    calls: list[int] = []

    def crash_at_the_third_call(item: int) -> int:
        calls.append(item)
        if len(calls) == 3:
            os.abort()
        return item

    assert in_worker(crash_at_the_third_call, list(range(8))) == list(range(8))


def test_a_process_that_dies_while_it_sends_a_result(in_worker: Callable) -> None:
    class DiesWhenPickled:
        def __reduce__(self) -> Any:
            os.kill(os.getpid(), signal.SIGSEGV)

    found = in_worker(lambda item: DiesWhenPickled() if item == 1 else item, [0, 1, 2])
    assert found == [0, Crash(-signal.SIGSEGV), 2]


def test_an_exception_is_no_crash(in_worker: Callable) -> None:
    def divide(item: int) -> float:
        return 1 / item

    with pytest.raises(Exception, match=r"(?s)in divide.*ZeroDivisionError: division by zero"):
        in_worker(divide, [1, 0, 1])


def test_a_process_holds_none_of_the_connections_of_the_worker(in_worker: Callable) -> None:
    # 0, 1, 2, the pipe, and the folder that is being listed.
    assert in_worker(lambda _: len(list(Path("/dev/fd").iterdir())), [0]) == [5]


def test_unwanted_results_leave_no_process(spark: SparkSession) -> None:
    def first_alone(_: Any) -> list[Any]:
        from multiprocessing import active_children

        results = run_isolated(lambda item: item, [1, 2, 3])
        first = next(results)
        results.close()  # type: ignore[attr-defined]
        return [first, active_children()]

    assert spark.sparkContext.parallelize([0], 1).mapPartitions(first_alone).collect() == [1, []]


def test_no_timer_goes_on_after_the_images(spark: SparkSession) -> None:
    table = spark.createDataFrame([("a.jpg", images.jpeg())], IMAGE_SCHEMA).coalesce(1)

    def left_over(_: Any) -> list[tuple[int, float]]:
        return [(os.getpid(), signal.getitimer(signal.ITIMER_REAL)[0])]

    assert extract(table, SiftOptions()).to_frame().collect()
    found = spark.sparkContext.parallelize(range(8), 8).mapPartitions(left_over).collect()
    assert {left for _, left in found} == {0.0}


@pytest.mark.parametrize(
    ("crash", "text"),
    [
        (Crash(-signal.SIGSEGV), "SIGSEGV"),
        (Crash(-signal.SIGKILL), "SIGKILL: out of memory?"),
        (Crash(1), "exit status 1"),
        (Crash(-signal.SIGALRM), "took longer than 15 minutes"),
    ],
)
def test_a_crash_says_what_happened(crash: Crash, text: str) -> None:
    assert str(crash) == text
