"""The command ``suspects``: likely label errors, and copies of images."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vision_assets.cli.console_table import print_table
from vision_assets.collection import data_of
from vision_assets.errors import UserError

if TYPE_CHECKING:
    from vision_assets.steps.label_errors import Copy, Suspect


def list_suspects(options: argparse.Namespace) -> None:
    """Do what the command ``suspects`` is asked for."""
    # These import PySpark.
    from vision_assets.steps.label_errors import N_FOLDS  # noqa: PLC0415
    from vision_assets.suspects import inspect_labels  # noqa: PLC0415

    def say_trained(models: int) -> None:
        if models and not options.quiet:
            print(f"cross-validation: {models} of {N_FOLDS} models trained", file=sys.stderr)

    if options.top < 1:
        raise UserError(f"top={options.top}: ask for 1 suspect or more")
    data = data_of(options.collection)
    report = inspect_labels(extractor=options.extractor, data_folder=data, trained=say_trained)
    if not report.is_current:
        print(
            "These are the images of the current classifier. The encodings are newer: materialize the "
            "classifier again to judge them.",
            file=sys.stderr,
        )
    shown = report.suspects[: options.top]
    if options.json:
        for suspect in shown:
            print(_suspect_as_json(suspect))
        for group in report.copies:
            print(_copies_as_json(group))
        return
    if shown:
        rows = [(s.label, s.suggested, f"{s.margin:.3f}", s.file_name) for s in shown]
        print_table(("label", "suggested", "margin", "file"), rows, right=("margin",))
        print()
    print(
        f"{len(report.suspects):,} of {report.judged:,} images are likely to have a wrong label"
        f"{f'; the first {len(shown):,} are shown' if len(shown) < len(report.suspects) else ''}."
    )
    if report.judged < report.usable:
        print(
            f"{report.usable - report.judged:,} images were not judged: copies with different labels, or the "
            "only image of a class."
        )
    differing = [group for group in report.copies if _labels_differ(group)]
    _print_copies("Copies with different labels, at most one of which is right:", differing)
    others = [group for group in report.copies if not _labels_differ(group)]
    _print_copies("Copies that were left out of a test, because a copy was trained on:", others)


def _labels_differ(group: "Sequence[Copy]") -> bool:
    return len({copy.label for copy in group}) > 1


def _print_copies(title: str, groups: "Sequence[Sequence[Copy]]") -> None:
    if not groups:
        return
    print(f"\n{title}\n")
    rows = [
        (f"{number:,}", copy.label, "yes" if copy.left_out else "", copy.file_name)
        for number, group in enumerate(groups, 1)
        for copy in group
    ]
    print_table(("image", "label", "left out", "file"), rows, right=("image",))


def _suspect_as_json(suspect: "Suspect") -> str:
    return json.dumps(
        {
            "kind": "suspect",
            "file": suspect.file_name,
            "label": suspect.label,
            "suggested": suspect.suggested,
            "margin": suspect.margin,
            "label_probability": suspect.label_probability,
            "suggested_probability": suspect.suggested_probability,
        }
    )


def _copies_as_json(group: "Sequence[Copy]") -> str:
    files = [{"file": copy.file_name, "label": copy.label, "left_out": copy.left_out} for copy in group]
    return json.dumps({"kind": "copies", "labels_differ": _labels_differ(group), "files": files})
