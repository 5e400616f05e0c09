"""Commands, options and help of the console. Imports nothing of the project, so that `--help` is quick."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

PROGRAM = "vision-assets"
SHELLS = ("bash", "zsh", "fish")

_DESCRIPTION = "Read the tables of the pipeline, classify images, and prepare runs."
_EPILOG = f"""\
The environment variable VISION_ASSETS_DATA names the folder or URI of the tables
(default: the folder data). `{PROGRAM} COMMAND --help` shows the options of
a command, and examples."""

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Read the tables": {
        "summary": "show every table of the pipeline, and the accuracy",
        "path": "print the folder of an asset's current snapshot",
        "snapshots": "list the snapshots of an asset, the current one last",
        "compare": "list the results of all reports with their settings, the best first",
    },
    "Classify images": {
        "predict": "classify images with the current classifier",
    },
    "Look at the labels": {
        "suspects": "list likely label errors, and copies of images",
    },
    "Prepare a run": {
        "sample": "make a folder of sample images",
        "config": "check settings, change them for a run, or keep those of a run",
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
  vision-assets snapshots bow_encodings | tail -n 1    # the current one""",
    "compare": """\
  vision-assets compare
  vision-assets compare flowers birds    # two collections
  vision-assets compare --csv > results.csv
  vision-assets compare --json | jq -s 'map(select(.best))'""",
    "predict": """\
  vision-assets predict photo.jpg
  vision-assets predict photo.jpg holiday/ --top 3
  vision-assets predict photo.jpg --json | jq .label""",
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
    "path": "The folder contains the files of the table: Parquet for most assets.",
    "compare": """\
Prints a line per report, also of reports whose tables were removed since: the
settings that differ, the mean accuracy of the classes with its standard deviation
over the splits, the time that the dictionary and the classifier took, the run.
Reports are grouped by protocol: accuracies are comparable if images, classes and
settings of the splits are the same. `?` is what is no longer known.""",
    "predict": """\
Prints a line per image: the image, then the most probable classes, each with its
probability. The exit status is 1 if an image cannot be read.""",
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
    "workspace": "Each collection, a file of the folder collections, becomes a code location.",
    "completion": "Write the script to a file that your shell reads, as below.",
}
"""Command to what its help says besides its line of help."""


class _MainParser(argparse.ArgumentParser):
    def format_help(self) -> str:
        """Return the help with the commands in their groups, which argparse cannot do."""
        width = max(len(command) for commands in GROUPS.values() for command in commands)
        lines = [self.format_usage(), _DESCRIPTION, ""]
        for heading, commands in GROUPS.items():
            lines += [f"{heading}:", *(f"  {name:{width}}  {text}" for name, text in commands.items()), ""]
        return "\n".join([*lines, _EPILOG, ""])


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
            "--json",
            action="store_true",
            help="print a JSON object per line, for each report",
        )
    )
    argument(
        "predict", "images", nargs="+", type=Path, metavar="IMAGE", help="image file, or folder of images"
    )
    argument(
        "predict",
        "--top",
        type=int,
        default=1,
        metavar="N",
        help="name the N most probable classes (default: 1)",
    )
    argument("predict", "--json", action="store_true", help="print a JSON object per line, for each image")
    argument(
        "suspects", "--top", type=int, default=20, metavar="N", help="list N suspects at most (default: 20)"
    )
    argument(
        "suspects", "--json", action="store_true", help="print a JSON object per line: suspects, then copies"
    )
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
    for command in ("summary", "predict", "suspects", "config"):
        argument(
            command,
            "--collection",
            default="",
            metavar="NAME",
            help="a file of the folder collections (default: the collection without a name)",
        )
    for command in ("summary", "predict", "suspects", "config"):
        argument(
            command, "--extractor", default="sift", metavar="NAME", help="sift (default), surf, kaze or daisy"
        )
    argument("completion", "shell", choices=SHELLS, help="the shell that the script is for")
    return parser
