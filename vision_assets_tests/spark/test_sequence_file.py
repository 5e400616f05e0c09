import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.spark.sequence_file import Record


def test_local_parts_are_bounded_and_can_be_split(spark: SparkSession, tmp_path: Path) -> None:
    generator = random.Random(3)
    pairs = [(f"{index}.jpg", generator.randbytes(generator.randrange(30_000))) for index in range(100)]
    sizes: list[int] = []
    (tmp_path / "out").mkdir()

    def keep(part: Path) -> None:
        sizes.append(part.stat().st_size)
        part.rename(tmp_path / "out" / part.name)

    sequence_file.write_parts(iter(pairs), keep, part_bytes=600_000)
    assert len(sizes) == 3
    assert max(sizes) < 600_000 + 30_100
    assert sorted(sequence_file.read(spark, str(tmp_path / "out")).collect()) == sorted(pairs)
    cut = sequence_file.read_table(spark, [str(tmp_path / "out")], 9)
    assert cut.rdd.getNumPartitions() >= 9
    assert sorted(cut.collect()) == sorted(pairs)


def test_one_record_at_a_time_is_in_memory() -> None:
    alive = 0

    def pairs() -> Iterator[Record]:
        nonlocal alive
        for index in range(50):
            alive = index
            yield str(index), bytes(1000)

    parts: list[int] = []
    sequence_file.write_parts(pairs(), lambda part: parts.append(alive), part_bytes=5000)
    assert parts == sorted(set(parts))
    assert len(parts) == 10


def test_lengths_of_complete_files_are_right(tmp_path: Path) -> None:
    part = tmp_path / "part"
    lengths = [0, 1, 126, 127, 128, 129, 130, 255, 256, 257, 65_535, 65_536, 70_000]
    pairs = [("k" * length, bytes(3 * length)) for length in lengths]
    sequence_file.write_parts(pairs, lambda path: path.rename(part))
    sequence_file.check_records(str(part))


@pytest.mark.parametrize("length", range(5, 60, 7))
def test_a_header_cut_short(length: int) -> None:
    head = b"SEQ\x06"
    head += b"\x19org.apache.hadoop.io.Text\x22org.apache.hadoop.io.BytesWritable"
    sequence_file.check_header(head, "x")
    with pytest.raises(UserError):
        sequence_file.check_header(head[:length], "x")
