import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.cli.commands import COMMANDS
from vision_assets.cli.completion import completion_script
from vision_assets.cli.parser import GROUPS, SHELLS, build_parser
from vision_assets.pipelines import STEPS
from vision_assets.vision.features import EXTRACTORS
from vision_assets_tests.pipeline import ALL_ASSETS, UP_TO_ENCODINGS, Runner

FILLED = ("image_seqfile", "image_labels", *UP_TO_ENCODINGS[1:])
"""The assets that the fixture `on_filled` has, in the order of the summary."""


@pytest.fixture
def on_filled(filled: Runner, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv(settings.DATA, str(filled.data))
    return filled


def test_path_prints_the_current_folder(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", "bow_encodings"]) == 0
    assert capsys.readouterr().out == on_filled.current("bow_encodings").uri + "\n"


def test_snapshots_lists_them(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "sift_features"]) == 0
    snapshot = on_filled.current("sift_features")
    title, row = capsys.readouterr().out.splitlines()
    assert title.split() == ["snapshot", "committed", "rows", "size", "run"]
    assert row.split()[:3] == [snapshot.name, snapshot.committed_at, "12"]
    assert row.split()[-1] == snapshot.run_id


def test_summary_says_what_was_made(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    printed = capsys.readouterr().out
    descriptors = on_filled.current("sift_features").counts["descriptors"]
    for part in ("12 images", f"{descriptors:,} descriptors", "0 images could not be read", "20 words"):
        assert part in printed
    assert "2 labels; 0 images without a label." in printed
    assert "There is no image_classifier yet: materialize it." in printed
    for asset in ("image_seqfile", "image_labels", "sift_features", "kmeans_dictionary", "bow_encodings"):
        assert on_filled.current(asset).uri in printed


@pytest.mark.parametrize("command", [["path", "bow_encodings"], ["snapshots", "bow_encodings"], ["summary"]])
def test_nothing_materialized_is_one_clear_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(tmp_path))
    assert main(command) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Materialize" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_uri_of_hadoop_is_read_through_spark(
    on_filled: Runner,
    spark: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The scheme viewfs is Hadoop's own; here it maps to the local folder."""
    spark.sparkContext._jsc.hadoopConfiguration().set(  # type: ignore[attr-defined]
        "fs.viewfs.mounttable.test.link./data", on_filled.data.as_uri()
    )
    monkeypatch.setenv(settings.DATA, "viewfs://test/data")
    assert main(["path", "kmeans_dictionary"]) == 0
    name = on_filled.current("kmeans_dictionary").name
    assert capsys.readouterr().out == f"viewfs://test/data/kmeans_dictionary/{name}\n"


def test_sample_makes_images_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", str(tmp_path / "sample"), "--images-per-class", "1"]
    assert main(arguments) == 0
    assert "10 sample images made" in capsys.readouterr().out
    assert main(arguments) == 0
    assert len(list((tmp_path / "sample").glob("*/*.jpg"))) == 10


def test_sample_refuses_a_folder_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["sample", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_lists_every_command_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_of([], capsys).splitlines()
    assert {name for group in GROUPS.values() for name in group} == set(COMMANDS)
    for heading, commands in GROUPS.items():
        below = lines[lines.index(f"{heading}:") + 1 :]
        assert [line.split()[0] for line in below[: len(commands)]] == list(commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_ends_with_examples_that_parse(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, examples = help_of([command], capsys).split("\nexamples:\n")
    calls = re.findall(r"(?<![/_])vision-assets ([^|>#)\"\n]+)", examples)
    assert calls
    for call in calls:
        assert build_parser().parse_args(shlex.split(call)).command == command


@pytest.mark.parametrize(("typed", "advice"), [("pth", "did you mean path?"), ("xyz", "'summary', 'path'")])
def test_a_command_that_does_not_exist_is_named(
    typed: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert repr(typed) in error
    assert advice in error


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """Shell to its completion script."""
    return {shell: completion_script(shell) for shell in SHELLS}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_script_is_valid(shell: str, scripts: dict[str, str], tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing; install it with the system's package manager")
    file = tmp_path / "script"
    file.write_text(scripts[shell])
    checked = subprocess.run([shell, "-n", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_completion_prints_the_script(scripts: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out.strip() == scripts["bash"].strip()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("su", {"summary", "suspects"}),
        ("path kaze_image_c", {"kaze_image_classifier"}),
        ("snapshots image_s", {"image_seqfile"}),
        ("predict --extractor k", {"kaze"}),
        ("summary --", {"--help", "--extractor", "--collection", "--json", "--quiet", "--verbose"}),
        ("predict photo.jpg pho", {"photo.jpg"}),
        ("completion ", set(SHELLS)),
    ],
)
def test_bash_completes(typed: str, completed: set[str], scripts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    words = ["vision-assets", *typed.split(" ")]
    asked = f"""
COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
$(complete -p vision-assets | sed 's/.*-F \\([^ ]*\\) .*/\\1/') vision-assets {shlex.quote(words[-1])}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    answered = subprocess.run(
        ["bash", "-c", scripts["bash"] + asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert set(answered.stdout.split()) == completed


def test_a_table_aligns_numbers_to_the_right(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    title, *rows = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")][:5]
    end = title.index("size") + len("size")
    assert len(rows) == 4
    assert all(row[:end].endswith(" MB") for row in rows)


def test_an_error_of_yaml_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("ops: [\n  a: b: c\n")
    assert main(["config", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file} is not a run configuration: ")


def test_a_reader_that_has_enough_is_no_error(on_filled: Runner) -> None:
    command = [sys.executable, "-m", "vision_assets.cli", "path", "bow_encodings"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_imports_no_table_and_no_library() -> None:
    code = """
import sys
from vision_assets.cli import main
try:
    main(["predict", "--help"])
except SystemExit:
    print({"cv2", "numpy", "rich", "shtab", "vision_assets.cli.commands"} & set(sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("\nset()\n")


def test_help_names_every_extractor(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in EXTRACTORS)


def test_a_slash_at_the_end_of_an_asset_is_harmless(
    on_filled: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["path", "sift_features/"]) == 0
    assert capsys.readouterr().out == on_filled.current("sift_features").uri + "\n"


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("", "Choose one of image_seqfile, image_labels, "),
        ("nonsense", "Choose one of image_seqfile, image_labels, "),
        ("bow_encoding", "Did you mean bow_encodings?"),
        ("dict", "Did you mean kmeans_dictionary?"),
    ],
)
@pytest.mark.parametrize("command", ["path", "snapshots"])
def test_an_unknown_asset_is_named(
    command: str, key: str, advice: str, on_filled: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, key]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"There is no asset {key!r}. {advice}")


@pytest.mark.parametrize("command", ["path", "snapshots"])
def test_the_collection_of_an_asset_is_part_of_its_key_or_an_option(
    command: str, on_filled: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["sift_features/x"], ["x", "--collection", "sift_features"]):
        assert main([command, *arguments]) == 2
        assert capsys.readouterr().err.startswith("There is no collection 'sift_features'. ")
    assert main([command, "birds/x", "--collection", "flowers"]) == 1
    assert capsys.readouterr().err == "birds/x names its collection: leave --collection out.\n"


def test_a_table_that_is_not_there_yet_is_named(
    filled_copy: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(filled_copy.data))
    shutil.rmtree(filled_copy.data / "bow_encodings")
    assert main(["summary"]) == 0
    said = capsys.readouterr().out
    assert "Not materialized yet: bow_encodings." in said
    assert "kmeans_dictionary" in said


def test_a_data_folder_that_is_a_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv(settings.DATA, str(file))
    assert main(["path", "bow_encodings"]) == 1
    assert f"{file} is a file." in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"vision-assets \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_the_package_runs_as_a_command(on_filled: Runner) -> None:
    command = [sys.executable, "-m", "vision_assets", "path", "bow_encodings"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == (on_filled.current("bow_encodings").uri + "\n", "")


def objects(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Run a command; return the JSON objects that it prints, one per line."""
    assert main([*arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_of_paths_and_snapshots(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = on_filled.current("bow_encodings")
    named = {"asset": "bow_encodings", "snapshot": snapshot.name, "path": snapshot.uri}
    assert objects(["path", "bow_encodings"], capsys) == [named]
    (found,) = objects(["snapshots", "bow_encodings"], capsys)
    assert found.items() >= named.items()
    assert (found["rows"], found["run"], found["counts"]) == (12, snapshot.run_id, snapshot.counts)
    assert found["changes"] == {"reused": 0, "encoded": 12, "dropped": 0}
    assert found["made_from"] == {
        asset: on_filled.current(asset).name for asset in ("sift_features", "kmeans_dictionary")
    }


def test_json_of_the_summary(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = objects(["summary"], capsys)
    assert [made["path"] for made in found["assets"]] == [on_filled.current(a).uri for a in FILLED]
    assert (found["missing"], found["outdated"]) == ([], [])
    assert main(["summary"]) == 0
    printed = capsys.readouterr().out
    assert found["sentences"]
    assert all(sentence in printed for sentence in found["sentences"])


def test_assets_lists_what_there_is(
    on_filled: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {made["asset"] for made in objects(["assets"], capsys)} == set(STEPS), "of all extractors"
    monkeypatch.setenv(settings.EXTRACTORS, "sift")
    found = {made["asset"]: made for made in objects(["assets"], capsys)}
    assert list(found) == [asset for asset in STEPS if asset in ALL_ASSETS]
    assert {name for name, made in found.items() if made["snapshot"]} == set(FILLED)
    assert found["bow_encodings"]["inputs"] == ["sift_features", "kmeans_dictionary"]
    assert found["bow_encodings"]["path"] == on_filled.current("bow_encodings").uri
    assert all(made["description"] for made in found.values())
    assert main(["assets", "--extractor", "sift"]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["asset", "rows", "made", "(UTC)", "made", "from"]
    assert {row.split()[0]: "not materialized" in row for row in rows} == {
        asset: asset not in FILLED for asset in ALL_ASSETS
    }


def test_summary_says_what_was_reused(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:6]}
    assert rows["image_seqfile"].endswith("  12 read")
    assert rows["sift_features"].endswith("  12 extracted")
    assert rows["bow_encodings"].endswith("  12 encoded")


def test_quiet_prints_results_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-q", str(tmp_path / "sample"), "--images-per-class", "1"]) == 0
    assert capsys.readouterr() == ("", "")


def test_verbose_shows_where_the_tables_are_and_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(tmp_path))
    assert main(["path", "bow_encodings", "-v"]) == 1
    first, *stack, last = capsys.readouterr().err.splitlines()
    assert first == f"The tables are in {tmp_path}."
    assert "Traceback (most recent call last):" in stack
    assert "Materialize bow_encodings first" in last


@pytest.mark.parametrize("command", [["suspects"], ["predict", "a.jpg"], ["encode", "a.jpg"], ["summary"]])
def test_ctrl_c_is_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, command[0], interrupt)
    assert main(command) == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")
