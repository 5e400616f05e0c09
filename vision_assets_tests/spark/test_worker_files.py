"""Files that workers write themselves are those that Spark would write, and appear once they are complete."""

import errno
import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    FloatType,
    IntegerType,
    StringType,
    StructType,
)

from vision_assets.spark.diagnosis import Kind, diagnose
from vision_assets.spark.parquet_schema import stored_schema
from vision_assets.spark.worker_files import MappedRows, rows_written, write_files
from vision_assets.tables.columns import column
from vision_assets.tables.parquet import read_parquet

SCHEMA = StructType(
    [
        column("fileName", StringType(), "name"),
        column("label", StringType(), "folder", nullable=True),
        column("digest", BinaryType(), "SHA-256"),
        column("count", IntegerType(), "how many"),
        column("bow", ArrayType(FloatType(), containsNull=False), "values"),
    ]
)
ROWS = 60


def batch_of(ids: list[int], cell: int = 40) -> pa.RecordBatch:
    digests = [hashlib.sha256(str(index).encode()).digest() for index in ids]
    return pa.record_batch(
        {
            "fileName": [f"{index}.jpg" for index in ids],
            "label": pa.array([str(index % 3) if index % 5 else None for index in ids], pa.string()),
            "digest": [digest * cell for digest in digests],
            "count": pa.array(ids, pa.int32()),
            "bow": pa.array([[index, index / 2] for index in ids], pa.list_(pa.float32())),
        }
    )


def make(cell: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch_of(batch["id"].to_pylist(), cell)


def mapped(
    spark: SparkSession,
    function: Callable[..., Iterator[pa.RecordBatch]],
    partitions: int = 3,
    rows: int = ROWS,
) -> MappedRows:
    return MappedRows(spark.range(rows, numPartitions=partitions), function, SCHEMA)


def visible(folder: Path) -> list[Path]:
    """Return the files, after a look that there is nothing else."""
    found = sorted(folder.iterdir())
    assert all(file.name.startswith("part-") and file.suffix == ".parquet" for file in found)
    return found


def test_the_table_is_that_of_spark(spark: SparkSession, tmp_path: Path) -> None:
    rows, by_spark, folder = mapped(spark, partial(make, 1)), tmp_path / "spark", tmp_path / "workers [1]"
    rows.to_frame().write.parquet(str(by_spark))
    files = write_files(rows, folder)
    assert [file.name for file in files] == [file.name for file in visible(folder)]
    assert [file.rows for file in files] == [20, 20, 20]
    assert stored_schema(spark, str(folder)) == stored_schema(spark, str(by_spark)) == SCHEMA
    written, expected = read_parquet(spark, str(folder)), read_parquet(spark, str(by_spark))
    assert sorted(written.collect()) == sorted(expected.collect())
    first = pq.ParquetFile(visible(folder)[0])
    theirs = pq.ParquetFile(next(by_spark.glob("part-00000*")))
    assert first.schema_arrow.equals(theirs.schema_arrow)
    assert first.metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_are_sorted_in_small_groups_and_found_by_their_key(spark: SparkSession, tmp_path: Path) -> None:
    rows = mapped(spark, partial(make, 10_000), partitions=1)
    write_files(rows, tmp_path, sorted_by="digest", looked_up_by="fileName")
    (file,) = visible(tmp_path)
    groups = pq.ParquetFile(file)
    digests = [groups.read_row_group(index)["digest"].to_pylist() for index in range(groups.num_row_groups)]
    assert len(digests) >= 4
    assert all(one[-1] < next_one[0] for one, next_one in pairwise(digests))
    assert all(group == sorted(group) for group in digests)
    found = read_parquet(spark, str(tmp_path)).where("fileName in ('7.jpg', 'absent.jpg')")
    assert [row["count"] for row in found.collect()] == [7]
    # Spark reads only the row group that has the name.
    assert rows_read(spark, found.where("count >= 0")) <= ROWS // 4


def rows_read(spark: SparkSession, rows: DataFrame) -> int:
    rows.write.format("noop").mode("overwrite").save()
    scans = rows._jdf.queryExecution().executedPlan().collectLeaves()
    return int(scans.head().metrics().apply("numOutputRows").value())


def test_an_empty_partition_has_no_file_but_an_empty_table_has_one(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = write_files(mapped(spark, partial(make, 1), 4, 2), tmp_path / "some")
    assert [file.rows for file in files] == [1, 1]
    (file,) = write_files(mapped(spark, partial(make, 1), 3, 0), tmp_path / "none", "digest", "fileName")
    assert file.rows == 0
    assert stored_schema(spark, str(tmp_path / "none")) == SCHEMA


def fail(error: Exception, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Fail once all rows of the second partition are there."""
    yield from make(1, batches)
    if TaskContext.get().partitionId() == 1:  # type: ignore[union-attr]
        raise error


def test_a_task_that_fails_leaves_no_part_of_a_file(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(PySparkException, match="as planned"):
        write_files(mapped(spark, partial(fail, ValueError("as planned")), partitions=2), tmp_path)
    assert not list(tmp_path.glob("part-00001*"))


def test_a_full_disk_is_named(spark: SparkSession, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PySparkException) as error:
        write_files(mapped(spark, partial(fail, full), partitions=2), tmp_path)
    diagnosis = diagnose(error.value)
    assert diagnosis.kind is Kind.NO_SPACE
    assert f"the disk of {tmp_path}/part-00001" in diagnosis.text


def fail_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from make(1, batches)
    if TaskContext.get().attemptNumber() == 0:  # type: ignore[union-attr]
        raise ValueError


def test_a_task_that_is_tried_again_writes_its_rows_once(spark: SparkSession, tmp_path: Path) -> None:
    files = write_files(mapped(spark, fail_once), tmp_path)
    assert [file.name for file in files] == [file.name for file in visible(tmp_path)]
    names = [row.fileName for row in read_parquet(spark, str(tmp_path)).collect()]
    assert sorted(names) == sorted(f"{index}.jpg" for index in range(ROWS))


def test_files_that_are_there_stay(spark: SparkSession, tmp_path: Path) -> None:
    first = write_files(mapped(spark, partial(make, 1)), tmp_path)
    second = write_files(mapped(spark, partial(make, 1)), tmp_path)
    assert len(visible(tmp_path)) == len({file.name for file in (*first, *second)}) == 6


def count_as_written(folder: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield ten rows at a time; the column `count` says how many were written before."""
    for batch in make(1, batches):
        for start in range(0, batch.num_rows, 10):
            rows = batch.slice(start, 10)
            written = pa.array([rows_written(folder)] * rows.num_rows, pa.int32())
            yield rows.set_column(3, "count", written)


def test_rows_are_counted_while_they_are_written(spark: SparkSession, tmp_path: Path) -> None:
    uri = f"file:{tmp_path}"
    write_files(mapped(spark, partial(count_as_written, uri), partitions=1), tmp_path)
    counts = {row["count"] for row in read_parquet(spark, uri).collect()}
    assert counts == {0, 10, 20, 30, 40, 50}
    assert rows_written(uri) == rows_written("s3a://bucket/folder") == 0
