"""Project files, and the collections they stand for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vision_assets import settings
from vision_assets.collection import collection_names, merge_settings, open_collection, settings_of
from vision_assets.errors import UserError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))
    return tmp_path


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_project_file_all_is_default(project: Path) -> None:
    found = open_collection()
    assert (found.name, found.data, found.file) == ("", str(project / "data"), None)
    assert (found.source, found.settings, found.key("image_seqfile")) == ("", {}, ("image_seqfile",))
    assert collection_names() == []


def test_the_project_file_is_beside_the_data(project: Path) -> None:
    file = write(project / "vision_assets.yaml", "source: pictures\nkmeans_dictionary: {k: 300}\n")
    found = open_collection()
    assert found.file == file
    assert found.source == str(project / "pictures"), "relative to the file"
    assert found.settings == {"kmeans_dictionary": {"k": 300}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/srv/pictures", "/srv/pictures"),
        ("~/pictures", str(Path.home() / "pictures")),
        ("s3a://bucket/pictures", "s3a://bucket/pictures"),
        ("pictures.tar", "{project}/pictures.tar"),
    ],
)
def test_a_source_in_a_file_is_absolute(project: Path, source: str, expected: str) -> None:
    write(project / "vision_assets.yaml", f"source: {source}\nimage_labels: {{labels: {source}}}\n")
    found = open_collection()
    assert found.source == expected.format(project=project)
    assert found.settings["image_labels"]["labels"] == found.source


def test_the_environment_names_another_file_and_another_source(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "vision_assets.yaml", "source: no\n")
    monkeypatch.setenv(settings.CONFIG, str(write(project / "my.yaml", "source: /yes\n")))
    assert open_collection().source == "/yes"
    monkeypatch.setenv(settings.SOURCE, "/first")
    assert open_collection().source == "/first"
    monkeypatch.setenv(settings.CONFIG, str(project / "gone.yaml"))
    with pytest.raises(UserError, match=r"cannot read .*gone\.yaml: No such file"):
        open_collection()


@pytest.mark.parametrize(
    ("name", "read"), [("vision_assets.yml", open_collection), ("collections/flowers.yml", collection_names)]
)
def test_a_project_file_with_the_other_ending_is_named(
    project: Path, name: str, read: Callable[[], object]
) -> None:
    file = write(project / name, "")
    with pytest.raises(UserError, match=f"{file} is not read: .* Rename the file"):
        read()


def test_collections_have_their_own_data_source_and_keys(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "collections" / "flowers.yaml", "source: flowers\n")
    write(project / "collections" / "scenes.yaml", "")
    monkeypatch.setenv(settings.SOURCE, "/of/the/one/without/a/name")
    assert collection_names() == ["flowers", "scenes"]
    flowers = open_collection("flowers")
    assert flowers.data == str(project / "data" / "collections" / "flowers")
    assert flowers.source == str(project / "collections" / "flowers")
    assert flowers.key("bow_encodings") == ("flowers", "bow_encodings")
    assert open_collection("scenes").source == ""


def test_an_unknown_collection_is_named_with_a_near_one(project: Path) -> None:
    with pytest.raises(UserError, match=r"has no file flowers\.yaml"):
        open_collection("flowers")
    write(project / "collections" / "flowers.yaml", "")
    with pytest.raises(UserError, match=r"no collection 'flower'\. Did you mean flowers\?"):
        open_collection("flower")


@pytest.mark.parametrize("name", ["my flowers", "3d", "a-b", "ä"])
def test_a_name_has_to_fit_an_asset_key(project: Path, name: str) -> None:
    write(project / "collections" / f"{name}.yaml", "")
    with pytest.raises(UserError, match="Rename the file"):
        collection_names()
    write(project / "collections" / "flowers.yaml", "")
    assert open_collection("flowers").name == "flowers", "others are not affected"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "is not a project file: it has `source:`"),
        ("kmeans_dictionary: 300", "is not a project file: it has `source:`"),
        ("source: [a]", "source must be a text"),
        ("a: [", "is not a project file: while parsing"),
    ],
)
def test_a_file_of_another_kind_is_refused(project: Path, text: str, message: str) -> None:
    write(project / "vision_assets.yaml", text)
    with pytest.raises(UserError, match=message):
        open_collection()


def test_settings_of_a_run_configuration() -> None:
    run = {"ops": {"a": {"config": {"k": 1, "l": 2}}, "b": None}, "resources": {}}
    assert settings_of(run) == {"a": {"k": 1, "l": 2}, "b": {}}
    assert settings_of({}) == {}
    assert merge_settings({"a": {"k": 3, "m": 4}}, settings_of(run)) == {
        "a": {"k": 1, "l": 2, "m": 4},
        "b": {},
    }
