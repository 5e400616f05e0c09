"""A run of the assets on images that crash the decoder, in a process whose workers do crash on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vision_assets import settings
from vision_assets_tests.defs.test_pictures import PICTURES
from vision_assets_tests.pipeline import Runner
from vision_assets_tests.spark.crashing_workers import crashing
from vision_assets_tests.vision import images

pytestmark = pytest.mark.whole

_RUN = """
import json, sys
from pathlib import Path
from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Runner

pipeline = Runner(Path(sys.argv[2]))
result = pipeline.run(sys.argv[1], pictures=True)
metadata = {asset: list(pipeline.metadata(result, asset)) for asset in UP_TO_ENCODINGS}
print(json.dumps(metadata))
"""
CRASHERS = {"cats/2.jpg": "SIGSEGV", "dogs/1.jpg": "SIGABRT"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    crashers = CRASHERS | {"dogs/3.jpg": "colour"}
    for index in range(12):
        name = f"{'cats' if index % 2 else 'dogs'}/{index // 2}.jpg"
        data = images.jpeg(images.colored(seed=3 * index))
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(crashing(data, crashers[name]) if name in crashers else data)
    return folder


def test_a_crash_costs_one_row_and_its_pictures(source: Path, pipeline: Runner, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    daemon = "spark.python.daemon.module vision_assets_tests.spark.crashing_workers"
    (conf / "spark-defaults.conf").write_text(daemon)
    disturbed = Runner(tmp_path / "disturbed")
    result = subprocess.run(
        [sys.executable, "-c", _RUN, str(source), str(disturbed.data)],
        env=os.environ | {"SPARK_CONF_DIR": str(conf), settings.SPARK_MASTER: "local[2]"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for asset, metadata in json.loads(result.stdout).items():
        assert {f"picture_{name}" for name in PICTURES[asset]} <= set(metadata)
    pipeline.run(source, "image_seqfile", "sift_features")
    rows, fine = (
        {row["fileName"]: row for row in pq.read_table(run.current("sift_features").uri).to_pylist()}
        for run in (disturbed, pipeline)
    )
    assert {name: rows[name]["error"] for name in CRASHERS} == {
        name: f"the extractor crashed on it ({signal})" for name, signal in CRASHERS.items()
    }
    assert rows == fine | {name: rows[name] for name in CRASHERS}
    encoded = disturbed.table("bow_encodings")
    assert set(encoded["fileName"]) == set(fine)
