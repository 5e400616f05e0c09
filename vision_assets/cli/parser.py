"""Commands, options and help of the console. Imports nothing of the project, so that `--help` is quick."""

import argparse
import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

PROGRAM = "vision-assets"
SHELLS = ("bash", "zsh", "fish")

_DESCRIPTION = "Read the tables of the pipeline, classify images, and prepare runs."
_EPILOG = f"""\
The environment variable VISION_ASSETS_DATA names the folder or URI of the tables
(default: the folder data). `{PROGRAM} COMMAND --help` shows the options of
a command, and examples. The exit status is 0 on success, 1 after an error, and 2
if a command, an option, an asset or an extractor does not exist."""

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Read the tables": {
        "summary": "show every table of the pipeline, and the accuracy",
        "path": "print the folder of an asset's current snapshot",
        "snapshots": "list the snapshots of an asset, the current one last",
        "compare": "list the results of all reports with their settings, the best first",
        "assets": "list what the pipelines can make, and what they have made",
    },
    "Classify and encode images": {
        "predict": "classify images with the current classifier",
        "encode": "print the vectors of images, or write them to a file",
    },
    "Look at the labels": {
        "suspects": "list likely label errors, and copies of images",
    },
    "Prepare a run": {
        "sample": "make a folder of sample images",
        "config": "check settings, change them for a run, or keep those of a run",
        "sweep": "run all combinations of some settings, and compare the results",
        "workspace": "print a workspace file for Dagster with all collections",
    },
    "Set up the shell": {
        "completion": "print a script that completes commands with the Tab key",
    },
}
"""Heading to the commands below it, each with its line of help."""

EXAMPLES: Mapping[str, str] = {
    "summary": """\
  vision-assets summary
  vision-assets summary --extractor kaze    # the tables of another extractor""",
    "path": """\
  vision-assets path bow_encodings
  ls "$(vision-assets path bow_encodings)" | head""",
    "snapshots": """\
  vision-assets snapshots bow_encodings
  vision-assets snapshots bow_encodings | tail -n 1    # the current one
  vision-assets snapshots bow_encodings --json | jq -r .run""",
    "assets": """\
  vision-assets assets
  vision-assets assets --extractor sift
  vision-assets assets --json | jq -r 'select(.snapshot == null).asset'""",
    "compare": """\
  vision-assets compare
  vision-assets compare flowers birds    # two collections
  vision-assets compare --csv > results.csv
  vision-assets compare --json | jq -s 'map(select(.best))'""",
    "predict": """\
  vision-assets predict photo.jpg
  vision-assets predict photo.jpg holiday/ --top 3
  vision-assets predict photo.jpg --json | jq .label""",
    "encode": """\
  vision-assets encode photo.jpg
  vision-assets encode photo.jpg --json | jq .vector
  vision-assets encode holiday/ --output vectors.parquet""",
    "suspects": """\
  vision-assets suspects
  vision-assets suspects --top 50 --extractor kaze
  vision-assets suspects --json | jq -r 'select(.kind == "suspect").file'""",
    "sample": """\
  vision-assets sample sample_images
  vision-assets sample small --images-per-class 4 --seed 1""",
    "config": """\
  vision-assets config --check run_configs/default.yaml
  vision-assets config --set kmeans_dictionary.k=200 run_configs/default.yaml > run.yaml
  vision-assets config --extractor kaze run_configs/default.yaml > kaze.yaml
  export VISION_ASSETS_EXTRACTORS=sift,kaze    # else Dagster has SIFT's pipeline alone
  dagster job execute -m vision_assets.definitions -j kaze_pipeline -c kaze.yaml
  vision-assets config --save 1b9e8a4c    # the settings of this run become those of the project file""",
    "sweep": """\
  vision-assets sweep sweep.yaml    # with: kmeans_dictionary.k: [100, 200]
                                    #       bow_encodings.pooling: [sum, count]""",
    "workspace": """\
  vision-assets workspace > workspace.yaml
  dagster dev -w workspace.yaml""",
    "completion": """\
  bash:  vision-assets completion bash > ~/.local/share/bash-completion/completions/vision-assets
  zsh:   vision-assets completion zsh > ~/.zfunc/_vision-assets    # ~/.zfunc has to be in $fpath
  fish:  vision-assets completion fish > ~/.config/fish/completions/vision-assets.fish
Create the folder first where it is missing, and start a new shell afterwards.""",
}
"""Command to the examples at the end of its help."""

_NOTES: Mapping[str, str] = {
    "summary": """\
With --json: one object with `assets` (as `assets --json` prints them), `sentences`,
and the names of assets that are `missing` or `outdated`.""",
    "path": """\
The folder contains the files of the table: Parquet for most assets. With --json: an
object with `asset`, `snapshot`, `path`.""",
    "snapshots": """\
With --json: an object per line with `asset`, `snapshot`, `path`, `committed`, `rows`,
`bytes`, `seconds`, `run`, `made_from`, `changes`, `counts`, `config`.""",
    "assets": """\
An asset is a table that a pipeline makes. With --json: an object per line with `asset`,
`description`, `extractor`, `inputs` and what `snapshots --json` prints of the current
snapshot; `snapshot` is null if the asset was never materialized.""",
    "predict": """\
Prints a line per image: the image, then the most probable classes, each with its
probability. The exit status is 1 if an image cannot be read.""",
    "encode": """\
The vectors equal those of the current table of encodings: the same settings, words and
encoding. Prints a line per image: the image, then the values. With --json: an object
with `image`, `vector`, `keypoints`, `error`. The exit status is 1 if an image cannot be
read; its vector is then null, in .npy and .npz a row of NaN.""",
    "compare": """\
Prints a line per report, also of reports whose tables were removed since: the
settings that differ, the mean accuracy of the classes with its standard deviation
over the splits, the time that the dictionary and the classifier took, the run.
Reports are grouped by protocol: accuracies are comparable if images, classes and
settings of the splits are the same. `?` is what is no longer known.""",
    "suspects": """\
Judges each image of the current classifier by a model that was trained on other
images (cross-validation in 5 folds, with the classifier's options), and lists
those whose label is likely wrong by confident learning (Northcutt, Jiang, Chuang
2021). The margin says how much more probable the suggested label is. Below are
the copies with different labels, and those that were left out of a test because
the classifier was trained on a copy. Spark is started, as in a run.""",
    "sample": "The images show ten classes, one folder each. Images that exist are kept.",
    "config": """\
Reads a run configuration of bovw_pipeline, the job of SIFT, checks it together with
the project file, and prints it: for the job of another extractor (asset names change,
options stay), with the settings that --set changes. --check checks a run configuration or
a project file and prints nothing else. --save writes the settings of a run to the project
file of the collection; comments in that file are lost.""",
    "sweep": """\
The file has settings, each with a list of values, and perhaps `extractor` with a list of
names. Each combination is a run, with tags, whose unchanged tables are shared. A
combination that has a result is not run again, so a sweep that was stopped continues.
Afterwards the results are printed and drawn (the picture is beside the file), and the
tables get the settings of the project file again, if there is one.""",
    "workspace": "Each collection, a file of the folder collections, becomes a code location.",
    "completion": "Write the script to a file that your shell reads, as below.",
}
"""Command to what its help says besides its line of help."""


_AMOUNT = (
    ("-q", "--quiet", "print results and errors alone"),
    ("-v", "--verbose", "also print where the tables are, and the stack of an error"),
)
_OPTIONS = "\n".join(
    [
        "Options of all commands:",
        *(f"  {short}, {long:9}  {text}" for short, long, text in _AMOUNT),
        "  --version      print the version",
    ]
)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - --help does not need it

        print(f"{PROGRAM} {version('vision_assets')}")
        parser.exit()


class _MainParser(argparse.ArgumentParser):
    def format_help(self) -> str:
        """Return the help with the commands in their groups, which argparse cannot do."""
        width = max(len(command) for commands in GROUPS.values() for command in commands)
        lines = [self.format_usage(), _DESCRIPTION, ""]
        for heading, commands in GROUPS.items():
            lines += [f"{heading}:", *(f"  {name:{width}}  {text}" for name, text in commands.items()), ""]
        return "\n".join([*lines, _OPTIONS, "", _EPILOG, ""])

    def _check_value(self, action: argparse.Action, value: str) -> None:
        choices: Iterable[str] = action.choices or ()
        if value not in choices and (near := difflib.get_close_matches(value, choices, n=1)):
            raise argparse.ArgumentError(None, f"there is no command {value!r}: did you mean {near[0]}?")
        super()._check_value(action, value)


def build_parser(
    complete: Callable[[argparse.Action], object] = lambda _: None,
) -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Parameters
    ----------
    complete : callable
        Takes each argument of each command, to say how a shell completes it.

    Returns
    -------
    argparse.ArgumentParser
        Its result has the name of the command in `command`.
    """
    parser = _MainParser(prog=PROGRAM)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    everywhere = argparse.ArgumentParser(add_help=False)
    for place, default in ((parser, False), (everywhere, argparse.SUPPRESS)):  # before and after the command
        amount = place.add_mutually_exclusive_group()
        for *names, text in _AMOUNT:
            amount.add_argument(*names, action="store_true", default=default, help=text)
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=argparse.ArgumentParser
    )
    commands = {
        name: subparsers.add_parser(
            name,
            help=text,
            description="\n\n".join(filter(None, (f"{text[0].upper()}{text[1:]}.", _NOTES.get(name)))),
            epilog=f"examples:\n{EXAMPLES[name].rstrip()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[everywhere],
        )
        for group in GROUPS.values()
        for name, text in group.items()
    }

    def argument(command: str, *names: str, **options: object) -> None:
        complete(commands[command].add_argument(*names, **options))  # type: ignore[arg-type]

    for command in ("path", "snapshots"):
        argument(command, "asset", metavar="ASSET", help="name of an asset, such as bow_encodings")
    argument(
        "compare",
        "collections",
        nargs="*",
        metavar="COLLECTION",
        help="name of a collection (default: all)",
    )
    formats = commands["compare"].add_mutually_exclusive_group()
    complete(formats.add_argument("--csv", action="store_true", help="print all figures and settings as CSV"))
    complete(
        formats.add_argument(
            "--json", action="store_true", help="print a JSON object per line, for each report"
        )
    )
    for command in ("predict", "encode"):
        argument(
            command, "images", nargs="+", type=Path, metavar="IMAGE", help="image file, or folder of images"
        )
    argument(
        "predict",
        "--top",
        type=int,
        default=1,
        metavar="N",
        help="name the N most probable classes (default: 1)",
    )
    argument(
        "suspects", "--top", type=int, default=20, metavar="N", help="list N suspects at most (default: 20)"
    )
    argument(
        "encode",
        "--output",
        type=Path,
        metavar="FILE",
        help="write to a file instead: .npy (a matrix, a row per image), .npz (images, vectors, keypoints, "
        "errors) or .parquet (a row per image)",
    )
    for command, printed in {
        "summary": "a JSON object",
        "path": "a JSON object",
        "snapshots": "a JSON object per line, for each snapshot",
        "assets": "a JSON object per line, for each asset",
        "predict": "a JSON object per line, for each image",
        "encode": "a JSON object per line, for each image",
        "suspects": "a JSON object per line: suspects, then copies",
        "sweep": "a JSON object per line, for each result",
    }.items():
        argument(command, "--json", action="store_true", help=f"print {printed}")
    argument("sample", "folder", type=Path, metavar="FOLDER", help="folder to write to, empty or missing")
    argument(
        "sample", "--seed", type=int, default=0, metavar="N", help="random seed of the images (default: 0)"
    )
    argument(
        "sample",
        "--images-per-class",
        type=int,
        default=24,
        metavar="N",
        help="images per class (default: 24)",
    )
    argument(
        "config",
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="run configuration (YAML) of the job bovw_pipeline",
    )
    argument(
        "config",
        "--set",
        action="append",
        default=[],
        metavar="ASSET.OPTION=VALUE",
        help="change a setting; can be given several times",
    )
    argument(
        "config", "--check", type=Path, metavar="FILE", help="check a run configuration or a project file"
    )
    argument("config", "--save", metavar="RUN", help="keep the settings of a run: its id, or how it begins")
    for command in (
        "summary",
        "path",
        "snapshots",
        "assets",
        "predict",
        "encode",
        "suspects",
        "config",
        "sweep",
    ):
        argument(
            command,
            "--collection",
            default="",
            metavar="NAME",
            help="a file of the folder collections (default: the collection without a name)",
        )
    for command in ("summary", "predict", "encode", "suspects", "config"):
        argument(
            command, "--extractor", default="sift", metavar="NAME", help="sift (default), surf, kaze or daisy"
        )
    argument("assets", "--extractor", metavar="NAME", help="only those of sift, surf, kaze or daisy")
    argument("sweep", "file", type=Path, metavar="FILE", help="settings with lists of values (YAML)")
    argument("completion", "shell", choices=SHELLS, help="the shell that the script is for")
    return parser
