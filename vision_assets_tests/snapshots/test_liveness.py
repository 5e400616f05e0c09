import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from vision_assets.snapshots.liveness import (
    ENDED,
    SILENCE_LIMIT,
    may_be_alive,
    this_process,
    utc_now,
)

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def test_this_process_is_alive_without_any_heartbeat() -> None:
    assert may_be_alive(this_process(), "2000-01-01T00:00:00+00:00")


def test_an_abandoned_lease_has_no_owner() -> None:
    assert not may_be_alive(this_process(), ENDED)


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    code = "from vision_assets.snapshots.liveness import this_process; print(this_process())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = eval(child.stdout)
    assert ended["pid"] != os.getpid()
    assert not may_be_alive(ended, utc_now())


def test_a_killed_process_that_was_not_waited_for_is_dead() -> None:
    code = (
        "from vision_assets.snapshots.liveness import this_process\n"
        "print(this_process(), flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        process = eval(child.stdout.readline())
        assert may_be_alive(process, utc_now())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not may_be_alive(process, utc_now())


def test_a_later_process_with_the_same_id_is_another_one() -> None:
    process = this_process()
    assert not may_be_alive(process | {"started": process["started"] + 1}, utc_now())


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"boot": ""}, {"namespace": 1}])
def test_a_process_elsewhere_is_alive_while_it_has_heartbeats(
    elsewhere: dict[str, object],
) -> None:
    process = this_process() | elsewhere | {"started": 1}
    recent, old = NOW - SILENCE_LIMIT + timedelta(seconds=1), NOW - SILENCE_LIMIT
    assert may_be_alive(process, recent.isoformat(), NOW)
    assert not may_be_alive(process, old.isoformat(), NOW)
