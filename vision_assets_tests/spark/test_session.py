import subprocess
import sys
from pathlib import Path

import pytest

from vision_assets import settings
from vision_assets.spark.session import spark_config


def test_the_master_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SPARK_MASTER, "spark://host:7077")
    config = spark_config()
    assert config["spark.master"] == "spark://host:7077"
    assert "spark.driver.host" not in config, "workers elsewhere have to reach the driver"


def test_all_cores_of_this_machine_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.SPARK_MASTER, raising=False)
    assert spark_config()["spark.master"] == "local[*]"


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
    assert {"spark.driver.memory", "spark.app.name", "spark.driver.extraJavaOptions"}.isdisjoint(config)
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
