import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.spark.session import spark_config, with_attempts


def test_the_master_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SPARK_MASTER, "spark://host:7077")
    config = spark_config()
    assert config["spark.master"] == "spark://host:7077"
    assert "spark.driver.host" not in config, "workers elsewhere have to reach the driver"


def test_the_master_of_a_run_decides_what_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SPARK_MASTER, "local[2]")
    config = spark_config({"spark.master": "spark://host:7077", "spark.jars": "mine.jar"})
    assert (config["spark.master"], config["spark.jars"]) == ("spark://host:7077", "mine.jar")
    assert "spark.driver.host" not in config
    assert config["spark.locality.wait"] == "0"


def test_all_cores_of_this_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.SPARK_MASTER, raising=False)
    assert spark_config()["spark.master"] == "local[*]"


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


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"])
def test_a_collector_that_the_user_has_chosen_stays(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SPARK_MASTER, "local[2]")
    assert "-XX:+UseParallelGC" in spark_config()["spark.driver.extraJavaOptions"]
    monkeypatch.setenv(variable, "-XX:+UseSerialGC")
    assert "UseParallelGC" not in spark_config()["spark.driver.extraJavaOptions"]


def test_a_collector_in_sparks_own_configuration_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.defaultJavaOptions -XX:+UseG1GC")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv(settings.SPARK_MASTER, "local[2]")
    assert "UseParallelGC" not in spark_config()["spark.driver.extraJavaOptions"]


def test_sparks_own_configuration_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "# comment",
        "",
        "spark.driver.memory 5g",
        "spark.master=yarn",
        "spark.app.name   mine",
        "spark.flag",
    ]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines))
    (tmp_path / "log4j2.properties").touch()
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.delenv(settings.SPARK_MASTER, raising=False)
    config = spark_config()
    assert config["spark.master"] == "yarn"
    assert {"spark.driver.memory", "spark.app.name"}.isdisjoint(config)
    assert "log4j" not in config["spark.driver.extraJavaOptions"]
    assert "spark.sql.execution.arrow.maxBytesPerBatch" in config
    monkeypatch.setenv(settings.SPARK_MASTER, "local[3]")
    assert spark_config()["spark.master"] == "local[3]"


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
