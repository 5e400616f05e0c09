"""Data folders as the console opens them."""

import os
import subprocess
import sys
from pathlib import Path

from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import SnapshotStore, open_store

BY_HADOOP = """
from pyspark import SparkContext
from vision_assets.snapshots.store import open_store
store = open_store("viewfs://store/data")
assert SparkContext._gateway is None, "nothing is started before it is needed"
with store.reading(("words",)) as snapshot:
    print(store.read(snapshot, "part-0").decode())
print(SparkContext._active_spark_context)
"""


def test_a_local_folder(tmp_path: Path) -> None:
    assert open_store(str(tmp_path)).assets() == []
    assert open_store(f"FILE://host{tmp_path}").assets() == []


def test_a_hadoop_folder_needs_no_spark_session(tmp_path: Path) -> None:
    """The scheme ``viewfs`` stands for a storage that Python cannot reach, and the master for a cluster."""
    store = SnapshotStore(LocalFiles(tmp_path / "data"))
    pending = store.begin(("words",), "run", {})
    Path(pending.uri).mkdir()
    Path(pending.uri, "part-0").write_text("rows")
    store.commit(
        pending,
        run_id="run",
        code_version="1",
        config={},
        counts={},
        check_results={},
        keys="",
        rows=1,
        seconds=0.1,
    )
    conf = tmp_path / "conf"
    conf.mkdir()
    link = "spark.hadoop.fs.viewfs.mounttable.store.link./data"
    (conf / "spark-defaults.conf").write_text(f"{link} file://{tmp_path}/data\n")
    result = subprocess.run(
        [sys.executable, "-c", BY_HADOOP],
        env=os.environ
        | {"SPARK_CONF_DIR": str(conf), "VISION_ASSETS_SPARK_MASTER": "spark://no.such.host:7077"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "rows\nNone\n"), result.stderr[-3000:]
    assert result.stderr == "", "a console command shows nothing but its own output"
