import subprocess
import sys
from pathlib import Path

import pytest

from vision_assets.spark.properties import class_archive, spark_config

pytestmark = pytest.mark.whole

PREFIX = "import sys; sys.prefix = sys.argv[1]; "
START = """
from vision_assets.spark.session import start_session
spark = start_session()
beans = spark.sparkContext._jvm.java.lang.management.ManagementFactory
print([option for option in beans.getRuntimeMXBean().getInputArguments() if "Archive" in option])
print(spark.range(3).count())
"""


def run(prefix: Path | str, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREFIX + code, str(prefix)], capture_output=True, text=True, check=True
    )


def test_the_archive_that_setting_up_has_made_is_used() -> None:
    if not class_archive().exists():
        run(sys.prefix, "from vision_assets.steps.class_archive import make; make()")
    assert list(class_archive().parent.iterdir()) == [class_archive()]
    started = run(sys.prefix, START)
    assert started.stdout == f"['-XX:SharedArchiveFile={class_archive()}']\n3\n"
    assert started.stderr == ""


def test_an_archive_of_another_java_is_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    class_archive().parent.mkdir(parents=True)
    class_archive().write_bytes(b"no archive" * 1000)
    started = run(tmp_path, START)
    assert started.stdout.endswith("\n3\n")
    assert started.stderr == ""


def test_no_archive_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert "Archive" not in spark_config()["spark.driver.extraJavaOptions"]
