"""Looks at a source, local and through Hadoop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vision_assets.errors import UserError
from vision_assets.steps.sources.watch import look_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in ("a.jpg", "cats/b.jpg", "cats/more/c.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"image")
    return folder


def test_two_looks_at_the_same_are_equal(folder: Path) -> None:
    look = look_at(str(folder))
    assert look == look_at(str(folder)) == look_at(str(folder))
    assert look.files == 3


def test_another_source_with_the_same_files_is_another(folder: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", str(folder), str(tmp_path / "copy")], check=True)
    assert look_at(str(folder)) != look_at(str(tmp_path / "copy"))


def test_links_are_followed_as_when_the_source_is_read(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "ring").symlink_to(folder)
    (folder / "nowhere").symlink_to("nothing")
    before = look_at(str(folder))
    (elsewhere / "d.jpg").write_bytes(b"image")
    assert look_at(str(folder)).files == before.files + 1


def test_names_that_are_no_text(folder: Path) -> None:
    before = look_at(str(folder))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n.jpg")).write_bytes(b"image")
    assert look_at(str(folder)).files == before.files + 1


def test_a_missing_source(folder: Path) -> None:
    with pytest.raises(UserError, match="does not exist on this machine"):
        look_at(f"file://{folder}/gone")


BY_HADOOP = """
import os, sys
from pathlib import Path

from pyspark import SparkContext

from vision_assets.errors import UserError
from vision_assets.spark import jvm
from vision_assets.steps.sources.watch import look_at

folder, uri = Path(sys.argv[1]), "viewfs://store/data"
first = look_at(uri)
pid = SparkContext._gateway.proc.pid
assert SparkContext._active_spark_context is None, "a bare JVM is enough"
assert first == look_at(uri) and first.files == 3
looks = {first}
(folder / "cats" / "d.jpg").write_bytes(b"new")
looks.add(look_at(uri))
(folder / "cats" / "d.jpg").write_bytes(b"changed")
looks.add(look_at(uri))
(folder / "cats" / "d.jpg").unlink()
os.utime(folder / "a.jpg", (1, 1))
looks.add(look_at(uri))
assert len(looks) == 4
assert look_at(f"{uri}/a.jpg").files == 1
assert SparkContext._gateway.proc.pid == pid, "the JVM is kept"
try:
    look_at(f"{uri}/gone")
except UserError as error:
    print(error)
SparkContext._gateway.proc.kill()
SparkContext._gateway.proc.wait()
assert look_at(uri).files == 3, "and started again when it has died"
"""


@pytest.mark.whole
def test_a_source_behind_hadoop(folder: Path, tmp_path: Path) -> None:
    """`viewfs:` stands for storage that Python cannot reach; in a process without Spark, as the sensor's."""
    conf = tmp_path / "conf"
    conf.mkdir()
    link = "spark.hadoop.fs.viewfs.mounttable.store.link./data"
    (conf / "spark-defaults.conf").write_text(f"{link} file://{folder}\n")
    result = subprocess.run(
        [sys.executable, "-c", BY_HADOOP, str(folder)],
        env=os.environ | {"SPARK_CONF_DIR": str(conf)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout == "source 'viewfs://store/data/gone' does not exist. Is the path right?\n"
