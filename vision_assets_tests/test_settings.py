from pathlib import Path

import pytest

from vision_assets import settings
from vision_assets.errors import UserError


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (settings.DATA, settings.SOURCE, settings.KEEP_SNAPSHOTS):
        monkeypatch.delenv(name, raising=False)
    assert settings.data_folder() == str(Path.cwd() / "data")
    assert settings.source() == ""
    assert settings.keep_snapshots() == 3


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.DATA, "hdfs://host/data")
    monkeypatch.setenv(settings.SOURCE, "/images")
    monkeypatch.setenv(settings.KEEP_SNAPSHOTS, "7")
    assert (settings.data_folder(), settings.source(), settings.keep_snapshots()) == (
        "hdfs://host/data",
        "/images",
        7,
    )


@pytest.mark.parametrize("value", ["abc", "0", "-1", "2.5"])
def test_a_number_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(settings.KEEP_SNAPSHOTS, value)
    with pytest.raises(UserError, match=f"VISION_ASSETS_KEEP_SNAPSHOTS='{value}'"):
        settings.keep_snapshots()


def test_pictures_are_drawn_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.PICTURES, raising=False)
    assert settings.pictures()
    monkeypatch.setenv(settings.PICTURES, "no")
    assert not settings.pictures()
    monkeypatch.setenv(settings.PICTURES, "maybe")
    with pytest.raises(UserError, match="VISION_ASSETS_PICTURES='maybe' is neither yes nor no"):
        settings.pictures()
