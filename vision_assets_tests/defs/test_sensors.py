"""The sensor, tick by tick, on real files."""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from vision_assets import settings
from vision_assets.collection import open_collection
from vision_assets.defs.sensors import SourceError, make_source_sensor
from vision_assets_tests.pipeline import defs

source_sensor = make_source_sensor(open_collection())


class Watch:
    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.skip_reason = ""

    def tick(self) -> list[str]:
        """Return the keys of the runs requested."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=defs)
        result = source_sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        self.skip_reason = result.skip_reason.skip_message or "" if result.skip_reason else ""
        return [str(request.run_key) for request in result.run_requests or []]

    def ticks(self, number: int) -> list[int]:
        """Return how many runs each of so many ticks has requested."""
        return [len(self.tick()) for _ in range(number)]


@pytest.fixture
def watch() -> Iterator[Watch]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "source"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "a.jpg").write_bytes(b"a")
    monkeypatch.setenv(settings.SOURCE, str(folder))
    return folder


def test_a_source_is_requested_once_it_is_at_rest(watch: Watch, source: Path) -> None:
    assert watch.ticks(4) == [0, 1, 0, 0]
    assert "1 files, nothing has changed" in watch.skip_reason


def test_new_changed_and_removed_files_are_seen(watch: Watch, source: Path) -> None:
    watch.ticks(2)
    (source / "cats" / "b.jpg").write_bytes(b"b")
    assert watch.ticks(3) == [0, 1, 0]
    (source / "cats" / "b.jpg").write_bytes(b"bb")
    assert watch.ticks(3) == [0, 1, 0]
    os.utime(source / "cats" / "b.jpg", ns=(1, 1))
    assert watch.ticks(3) == [0, 1, 0]
    (source / "cats" / "b.jpg").rename(source / "c.jpg")
    assert watch.ticks(3) == [0, 1, 0]
    (source / "c.jpg").unlink()
    assert watch.ticks(3) == [0, 1, 0]


def test_a_source_that_keeps_changing_is_waited_for(watch: Watch, source: Path) -> None:
    watch.ticks(2)
    for index in range(3):
        (source / f"{index}.jpg").write_bytes(b"b")
        assert not watch.tick()
        assert "changed. A run follows if nothing changes" in watch.skip_reason
    assert watch.ticks(2) == [1, 0]


def test_a_change_back_and_forth_is_requested_again(watch: Watch, source: Path) -> None:
    keys = []
    for index in range(4):
        file = source / "b.jpg"
        file.unlink() if index % 2 else file.write_bytes(b"b")
        os.utime(source / "cats" / "a.jpg", ns=(1, 1))
        if file.exists():
            os.utime(file, ns=(1, 1))
        keys += watch.tick() + watch.tick()
    assert len(set(keys)) == 4


def test_a_tick_that_is_repeated_makes_the_same_request(watch: Watch, source: Path) -> None:
    watch.tick()
    before = watch.cursor
    first = watch.tick()
    watch.cursor = before
    assert watch.tick() == first


def test_an_archive_is_watched(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "images.tar"
    archive.write_bytes(b"one")
    monkeypatch.setenv(settings.SOURCE, str(archive))
    assert watch.ticks(3) == [0, 1, 0]
    archive.write_bytes(b"another")
    assert watch.ticks(3) == [0, 1, 0]


def test_no_run_is_requested_while_one_is_in_progress(watch: Watch, source: Path) -> None:
    during = []

    @dg.asset
    def image_seqfile(context: dg.AssetExecutionContext) -> None:
        during.extend([*watch.ticks(3), context.run.run_id in watch.skip_reason])

    dg.materialize([image_seqfile], instance=watch.instance)
    assert during == [0, 0, 0, True]
    assert watch.ticks(2) == [1, 0]


def test_a_run_that_has_failed_is_named_until_something_changes(watch: Watch, source: Path) -> None:
    @dg.asset
    def image_seqfile() -> None:
        raise RuntimeError("the disk is full")

    assert watch.ticks(2) == [0, 1]
    run = dg.materialize([image_seqfile], instance=watch.instance, raise_on_error=False)
    assert watch.ticks(1) == [0]
    assert f"Run {run.run_id} has failed" in watch.skip_reason
    (source / "cats" / "b.jpg").write_bytes(b"b")
    assert watch.ticks(2) == [0, 1]


def test_no_source(watch: Watch) -> None:
    assert not watch.tick()
    assert "set VISION_ASSETS_SOURCE to a folder" in watch.skip_reason


def test_a_missing_source_is_an_error_of_one_line(
    watch: Watch, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.SOURCE, str(source / "gone"))
    with pytest.raises(SourceError) as raised:
        watch.tick()
    assert str(raised.value) == f"source '{source}/gone' does not exist on this machine. Is the path right?"


def test_its_run_makes_image_seqfile_alone() -> None:
    (job,) = [job for job in defs.resolve_all_job_defs() if "source_sensor" in job.name]
    assert job.asset_layer.selected_asset_keys == {dg.AssetKey("image_seqfile")}
    assert source_sensor.default_status is dg.DefaultSensorStatus.STOPPED
