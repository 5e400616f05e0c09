import subprocess
import sys

import pytest
from pyspark.sql import SparkSession

from vision_assets.spark.session import with_attempts


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", "local[1,4]"),
        ("local[2]", "local[2,4]"),
        ("local[*]", "local[*,4]"),
        ("local[*,1]", "local[*,1]"),
        ("local[2, 7]", "local[2, 7]"),
        ("local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("yarn", "yarn"),
    ],
)
def test_a_local_master_has_four_attempts_unless_it_says_otherwise(master: str, expected: str) -> None:
    assert with_attempts(master) == expected


def test_a_local_session_tries_again(spark: SparkSession) -> None:
    assert spark.sparkContext.master == "local[2,4]"


@pytest.mark.whole
def test_a_session_starts_silently_with_threads_and_python_set() -> None:
    code = """
import os
os.environ["VISION_ASSETS_SPARK_MASTER"] = "local[1]"
os.environ.pop("PYSPARK_PYTHON", None)
from vision_assets.spark.session import start_session
spark = start_session()
def look(_):
    import gc, os, sys
    forked_ready = gc.get_freeze_count() > 10_000 and "cv2" in sys.modules
    return sys.executable, os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"], forked_ready
print(spark.sparkContext.parallelize([0], 1).map(look).first())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == f"{(sys.executable, '1', '1', True)}\n"
    assert result.stderr == ""
