from pathlib import Path

import pytest

from vision_assets import settings
from vision_assets.spark.properties import spark_config


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
