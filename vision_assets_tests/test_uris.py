"""A path or URI means the same place as a data folder, as a source, in settings and in the shell scripts."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_assets import settings
from vision_assets.snapshots.files import open_files
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.steps import sources
from vision_assets.uris import hadoop_uri, is_uri, local_path, readable, scheme_of

SCRIPTS = Path(__file__).parents[1] / "scripts"

# What the user writes, below the temporary folder {}, and the place that it means.
LOCAL = {
    "{}/data": "{}/data",
    "{}/data/": "{}/data",
    "/{}/data": "{}/data",
    "file:{}/data": "{}/data",
    "file://{}/data": "{}/data",
    "file:///{}/data": "{}/data",
    "file://localhost{}/data": "{}/data",
    "file://host:8020{}/data": "{}/data",
    "FILE:{}/data": "{}/data",
    "File://{}/data": "{}/data",
    "file://{}/my%20data": "{}/my%20data",
    "file://{}/my #1 data?": "{}/my #1 data?",
    "{}/a:/b": "{}/a:/b",
    "~/data": "{}/home/data",
    "data": "{}/current/data",
    "./data": "{}/current/data",
    "my data:1": "{}/current/my data:1",
    "a_b:/data": "{}/current/a_b:/data",
    "~nobody at all/data": "{}/current/~nobody at all/data",
}
ELSEWHERE = {
    "hdfs://host:8020/data": "hdfs",
    "hdfs:/data": "hdfs",
    "S3A://bucket/data": "s3a",
    "abfss://container@account/data": "abfss",
    "viewfs:///data": "viewfs",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return what puts the temporary folder into a text; the current and the home folder are below it."""
    for folder in ("current", "home"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return lambda text: text.format(tmp_path)


def refuse(*_: Any) -> Any:
    raise AssertionError("Hadoop is not needed to answer")


@pytest.mark.parametrize("text", LOCAL)
def test_a_local_place_is_the_same_as_data_folder_and_as_source(
    text: str, place: Callable[[str], str]
) -> None:
    uri, path = place(text), Path(place(LOCAL[text]))
    path.mkdir(parents=True)
    files = open_files(uri, refuse)
    assert isinstance(files, LocalFiles)
    assert files.uri("x") == f"{path}/x"
    assert sources.local_path(uri, refuse) == str(path)
    assert local_path(uri) == path
    assert hadoop_uri(uri) == f"file://{path}"
    assert readable(uri) == str(path)


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_a_place_elsewhere_is_the_same_as_data_folder_and_as_source(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not isinstance(open_files(uri, refuse), LocalFiles)
    assert sources.local_path(uri, refuse) is None
    assert local_path(uri) is None
    assert hadoop_uri(uri) == readable(uri) == uri
    monkeypatch.setenv(settings.DATA, uri)
    monkeypatch.setenv(settings.SOURCE, "/images")
    assert settings.schemes() == [scheme_of(uri)] == [ELSEWHERE[uri]]


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox"])
def test_the_scripts_agree(shell: str, place: Callable[[str], str]) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    command = [shell, "sh"] if shell == "busybox" else [shell]
    texts = [place(text) for text in LOCAL] + list(ELSEWHERE)
    # $0 tells common.sh where it is.
    code = (
        '. "$1"; shift; for text; do if is_uri "$text"; then absolute "$text"; else echo "a path"; fi; done'
    )
    result = subprocess.run(
        [*command, "-c", code, str(SCRIPTS / "x.sh"), str(SCRIPTS / "common.sh"), *texts],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [text if is_uri(text) else "a path" for text in texts]
    assert result.stdout.splitlines() == expected
    assert 0 < expected.count("a path") < len(expected)
