from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets.spark import progress
from vision_assets.spark.progress import progress_line, reporting


@pytest.mark.parametrize(
    ("rows", "total", "finished", "line"),
    [
        (3120, 9144, 12, "3,120 of 9,144 images, 98/s, 61 s left (12 of 35 tasks)"),
        (0, 9144, 0, "0 of 9,144 images (0 of 35 tasks)"),
        (3120, None, 7, "3,120 images, 98/s, 127 s left (7 of 35 tasks)"),
        (9144, 9144, 35, "9,144 of 9,144 images, 287/s, 0 s left (35 of 35 tasks)"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_what_is_left(
    rows: int, total: int | None, finished: int, line: str
) -> None:
    assert progress_line("images", rows, total, finished=finished, tasks=35, seconds=31.84) == line


def test_a_write_is_reported_while_it_runs(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL", 0.01)
    lines: list[str] = []
    with reporting(spark, "numbers", 1000, lines.append):
        spark.range(1000, numPartitions=40).write.parquet(f"{tmp_path}/numbers")
    assert lines
    assert all(" of 1,000 numbers" in line and " of 40 tasks)" in line for line in lines)
    reported = len(lines)
    spark.range(10).collect()
    assert len(lines) == reported, "nothing is reported after the block"
