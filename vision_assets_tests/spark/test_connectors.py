from pathlib import Path

import pyspark
import pytest

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.spark.connectors import CONNECTORS, HADOOP, fetched, folder_name, libraries
from vision_assets.spark.properties import spark_config


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries that were copied to this machine."""
    for scheme, connector in CONNECTORS.items():
        folder = tmp_path / folder_name(scheme, connector.libraries, connector.excluded)
        folder.mkdir()
        (folder / f"{scheme}.jar").touch()
    monkeypatch.setenv(settings.JARS, str(tmp_path))
    return tmp_path


def test_the_libraries_are_of_sparks_hadoop() -> None:
    assert Path(pyspark.__file__).with_name("jars").joinpath(f"hadoop-client-api-{HADOOP}.jar").is_file()


@pytest.mark.parametrize("variable", [settings.DATA, settings.SOURCE])
def test_the_scheme_of_data_folder_or_source_is_enough(
    jars: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "s3a://bucket/folder")
    config = spark_config()
    assert config["spark.jars"] == str(next(jars.glob("s3a-*/s3a.jar")))
    assert config["spark.hadoop.fs.s3a.committer.name"] == "magic"


def test_connectors_can_be_named(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CONNECTORS, "alluxio, s3a,")
    assert {Path(jar).name for jar in spark_config()["spark.jars"].split(",")} == {"alluxio.jar", "s3a.jar"}


def test_an_unknown_connector_is_named(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CONNECTORS, "s3a,swift")
    with pytest.raises(UserError, match=r"names swift, but the connectors are s3a, alluxio\."):
        spark_config()


def test_other_libraries_are_in_another_folder() -> None:
    assert folder_name("s3a", ["a:b:1", "c:d:1"]) == folder_name("s3a", ["c:d:1", "a:b:1"])
    assert len({folder_name("s3a", ["a:b:1"], without) for without in ([], ["x:y"], ["x:z"])}) == 3


def test_connectors_are_named_besides_those_of_the_uris(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.DATA, "alluxio://host/data")
    monkeypatch.setenv(settings.CONNECTORS, "s3a")
    assert {Path(jar).name for jar in spark_config()["spark.jars"].split(",")} == {"alluxio.jar", "s3a.jar"}


def test_who_needs_none_fetches_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.JARS, str(tmp_path))
    monkeypatch.setenv(settings.DATA, "hdfs://host/data")
    assert "spark.jars" not in spark_config()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "theirs",
    ["spark.jars.packages org.apache.hadoop:hadoop-aws:3.5.0", "spark.jars /opt/hadoop-aws-3.5.0.jar"],
)
def test_a_client_in_sparks_own_configuration_wins(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    (tmp_path / "spark-defaults.conf").write_text(theirs)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv(settings.DATA, "s3a://bucket/folder")
    config = spark_config()
    assert "spark.jars" not in config
    assert "spark.hadoop.fs.s3a.committer.name" not in config


def test_other_libraries_of_the_user_stay_beside_the_connectors(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.jars /opt/mine.jar\nspark.jars.packages a:b:1")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv(settings.DATA, "s3a://bucket/folder")
    ours = str(next(jars.glob("s3a-*/s3a.jar")))
    config = spark_config()
    assert config["spark.jars"] == f"/opt/mine.jar,{ours}"
    assert "spark.jars.packages" not in config
    assert spark_config({"spark.jars": "run.jar"})["spark.jars"] == f"run.jar,{ours}"


def test_libraries_that_cannot_be_fetched_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"cannot fetch no\.such:thing:1 into .*\nRun make jars"):
        fetched(tmp_path / "jars", "thing", ["no.such:thing:1"])
    assert not list((tmp_path / "jars").iterdir())
    (tmp_path / "file").touch()
    monkeypatch.setenv(settings.JARS, str(tmp_path / "file"))
    with pytest.raises(UserError, match="File exists"):
        libraries("s3a")
    assert "fetching Java libraries" in capsys.readouterr().err
