"""A run goes on after Spark's JVM was killed under it."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from vision_assets_tests.pipeline import Runner

pytestmark = pytest.mark.whole

KILLED_ONCE = """
import os, signal, sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyspark import SparkContext

import vision_assets.defs.assets.features as module
from vision_assets_tests.pipeline import Runner

extract = module.extract

def kill(pid, batches):
    os.kill(pid, signal.SIGKILL)
    yield from batches

def extract_and_kill(*arguments):
    module.extract = extract
    rows = extract(*arguments)
    source = rows.source.mapInArrow(partial(kill, SparkContext._gateway.proc.pid), rows.source.schema)
    return replace(rows, source=source)

module.extract = extract_and_kill
data, source = map(Path, sys.argv[1:])
result = Runner(data).run(source, "image_seqfile", "sift_features")
for event in result.all_events:
    if event.is_step_up_for_retry:
        print(event.step_key, event.step_retry_data.error.cause.message)
"""


def test_a_killed_jvm_costs_one_attempt_and_no_bit(
    pipeline: Runner, image_folder: Path, filled: Runner
) -> None:
    """In a process of its own: this one's JVM is of use to other tests."""
    command = [sys.executable, "-c", KILLED_ONCE, str(pipeline.data), str(image_folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-5000:]
    (retry,) = [line for line in result.stdout.splitlines() if line]
    assert retry.startswith("sift_features dagster._core.definitions.events.Failure: Spark's JVM died")
    pd.testing.assert_frame_equal(
        pipeline.table("sift_features"), filled.table("sift_features"), check_exact=True
    )
    assert not list(pipeline.data.rglob("*.pending"))
