import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from pyspark.sql import SparkSession

from vision_assets.spark import shipping


def test_what_is_shipped_is_all_that_workers_import_and_nothing_of_dagster(tmp_path: Path) -> None:
    archive = tmp_path / shipping.ARCHIVE
    shipping._pack(archive)
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert "vision_assets/vision/features/sift.py" in names
    assert not [
        name for name in names if name.startswith(("vision_assets/defs/", "vision_assets/vision/data/"))
    ]
    program = """
import sys
sys.path[:0] = sys.argv[1:]
import vision_assets.steps.worker_daemon as workers
print(workers.__file__, "dagster" in sys.modules)
"""
    # Without `site`, which would make an installation of this project visible.
    libraries = sysconfig.get_path("purelib")
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, archive, libraries],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(archive / "vision_assets/steps/worker_daemon.py"), "False"]


def test_a_local_session_ships_nothing(spark: SparkSession) -> None:
    assert shipping.ARCHIVE not in (spark.sparkContext._python_includes or [])
