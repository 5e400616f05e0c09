import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.steps import image_writer
from vision_assets.steps.sources import Reader, open_source
from vision_assets.steps.sources.image_files import ImageFiles, Pair, Patterns, Skipped

Make = Callable[[list[Pair]], ImageFiles]

TEXT = "org.apache.hadoop.io.Text"


def images(pairs: list[Pair]) -> ImageFiles:
    return ImageFiles("test", Patterns(["*"]), len(pairs), Skipped(), by_driver=lambda: iter(pairs))


def in_workers(pairs: list[Pair]) -> ImageFiles:
    return ImageFiles("test", Patterns(["*"]), len(pairs), Skipped(), lambda sc: sc.parallelize(pairs, 3))


@pytest.mark.parametrize("make", [images, in_workers])
def test_bytes_and_keys_of_all_lengths(spark: SparkSession, tmp_path: Path, make: Make) -> None:
    generator = random.Random(4)
    sizes = [0, 1, 2, 3, 126, 127, 128, 255, 256, 65_535, 65_536, 3_000_000]
    pairs = [("é" * (size % 70_000) + str(size), generator.randbytes(size)) for size in sizes]
    image_writer.write(spark, make(pairs), str(tmp_path / "out"))
    read = sequence_file.read(spark, str(tmp_path / "out")).collect()
    assert sorted(read) == sorted(pairs)
    assert {type(value) for _, value in read} == {bytes}


def test_keys_are_any_unicode(spark: SparkSession, tmp_path: Path) -> None:
    generator = random.Random(9)
    points = [point for point in range(1, 0x11_0000, 7) if not 0xD800 <= point <= 0xDFFF]
    keys = {"".join(map(chr, generator.sample(points, generator.randrange(1, 60)))) for _ in range(300)}
    pairs = [
        (key, key.encode()) for key in sorted(keys | {"\n", "\x00", "\ufeff", "😀", "\uffff", "e\u0301", "é"})
    ]
    for make in (images, in_workers):
        out = str(tmp_path / make.__name__)
        image_writer.write(spark, make(pairs), out)
        assert sorted(sequence_file.read(spark, out).collect()) == pairs


def test_a_path_with_special_characters(spark: SparkSession, tmp_path: Path) -> None:
    uri = str(tmp_path / "a b,{c}[d]*?é%20\\x")
    image_writer.write(spark, in_workers([("a", b"1")]), uri)
    assert sequence_file.read(spark, uri).collect() == [("a", b"1")]
    assert sequence_file.read_table(spark, [uri], 2).collect() == [("a", b"1")]


def test_a_folder_with_part_files_is_not_touched(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="has part files"):
        image_writer.write(spark, images([("a", b"1")]), str(tmp_path))
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize("make", [images, in_workers])
def test_what_is_chosen_while_reading(spark: SparkSession, tmp_path: Path, make: Make) -> None:
    pairs = [(f"{index}.{'jpg' if index % 3 else 'txt'}", b"") for index in range(30)]
    source = make(pairs)
    some = ImageFiles("s", Patterns(["*.jpg"]), None, Skipped(), source.by_workers, source.by_driver)
    written = image_writer.write(spark, some, str(tmp_path / "out"))
    assert (written.count, written.skipped.counts) == (20, {"name matches no pattern": 10})
    none = ImageFiles("s", Patterns(["*.png"]), None, Skipped(), source.by_workers, source.by_driver)
    with pytest.raises(UserError, match=r"no image in 's': 30 skipped"):
        image_writer.write(spark, none, str(tmp_path / "none"))


def test_a_source_that_changes(spark: SparkSession, tmp_path: Path) -> None:
    source = ImageFiles("s", Patterns(["*"]), 3, Skipped(), by_driver=lambda: iter([("a", b"")]))
    with pytest.raises(UserError, match="3 images were listed and 1 read"):
        image_writer.write(spark, source, str(tmp_path / "out"))


def test_workers_and_driver_together(spark: SparkSession, tmp_path: Path) -> None:
    both = ImageFiles(
        "s", Patterns(["*"]), 2, Skipped(), in_workers([("a", b"1")]).by_workers, lambda: iter([("b", b"2")])
    )
    assert image_writer.write(spark, both, str(tmp_path / "out")).count == 2
    assert sorted(sequence_file.read(spark, str(tmp_path / "out")).collect()) == [("a", b"1"), ("b", b"2")]


@pytest.mark.parametrize("kind", ["NONE", "RECORD", "BLOCK"])
def test_compressed_as_other_tools_write_them(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    uri = str(tmp_path / "in")
    conf = {"mapreduce.output.fileoutputformat.compress": str(kind != "NONE").lower()}
    conf["mapreduce.output.fileoutputformat.compress.type"] = kind
    conf["mapreduce.output.fileoutputformat.compress.codec"] = "org.apache.hadoop.io.compress.DefaultCodec"
    spark.sparkContext.parallelize(
        [("a.jpg", bytearray(5000)), ("b.jpg", bytearray(b"b"))], 1
    ).saveAsNewAPIHadoopFile(
        uri, sequence_file._OUTPUT, TEXT, "org.apache.hadoop.io.BytesWritable", conf=conf
    )
    for part in Path(uri).glob("part-*"):
        sequence_file.check_records(str(part))
    readers: tuple[Reader, ...] = ("workers", "driver")
    for reader in readers:
        out = str(tmp_path / reader)
        assert image_writer.write(spark, open_source(spark, uri, reader=reader), out).count == 2
        assert sorted(sequence_file.read(spark, out).collect()) == [("a.jpg", bytes(5000)), ("b.jpg", b"b")]


@pytest.mark.parametrize("folder", [True, False])
def test_a_sequence_file_of_other_classes(spark: SparkSession, tmp_path: Path, folder: bool) -> None:
    spark.sparkContext.parallelize([("a", "b")], 1).saveAsNewAPIHadoopFile(
        str(tmp_path / "in"), sequence_file._OUTPUT, TEXT, TEXT
    )
    source = tmp_path / "in" if folder else tmp_path / "in" / "part-r-00000"
    with pytest.raises(UserError, match=rf"SequenceFile of <{TEXT}, {TEXT}>"):
        open_source(spark, str(source))


@pytest.mark.parametrize("cut", [10, 86, 100, 50_000])
def test_a_sequence_file_cut_short(spark: SparkSession, tmp_path: Path, cut: int) -> None:
    data = random.Random(1).randbytes(60_000)
    image_writer.write(spark, images([("a.jpg", data), ("b.jpg", data)]), str(tmp_path / "in"))
    whole = (tmp_path / "in" / "part-d-00000").read_bytes()
    (tmp_path / "cut.seq").write_bytes(whole[:cut] if cut < 1000 else whole[:-cut])
    with pytest.raises(UserError, match=r"ends inside its header|ends in the middle"):
        image_writer.write(spark, open_source(spark, str(tmp_path / "cut.seq")), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("place", "layout", "number"),
    [
        (-8, ">i", 0x7FFFFFFF),
        (-8, ">i", -5),
        (-4, ">i", 0x7FFFFFF0),
        (-4, ">i", -5),
        (-4, ">i", 129),
        (0, ">B", 0x8C),
        (6, ">i", 0x7FFFFFF0),
        (6, ">i", -5),
    ],
)
def test_a_wrong_length_does_not_reach_the_jvm(
    spark: SparkSession, tmp_path: Path, place: int, layout: str, number: int
) -> None:
    """Of these some would end the JVM, and one the file, as if there were no more records."""
    part = tmp_path / "part-00000"
    sequence_file.write_parts([("a.jpg", bytes(3000)), ("b.jpg", b"b")], lambda path: path.rename(part))
    data = bytearray(part.read_bytes())
    struct.pack_into(layout, data, data.index(b"\x05a.jpg") + place, number)
    part.write_bytes(data)
    for source in (part, tmp_path):
        with pytest.raises(UserError, match=r"part-00000' is damaged or ends in the middle of a record"):
            open_source(spark, str(source))
