"""A comparison of results as a table for people, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vision_assets.steps.comparison import RankedResult, Result, differing_settings

_LONGEST_SETTING = 28
_PATHS = ("image_seqfile.source", "image_labels.labels")
_RUN_ID = 8  # characters, as in the names of snapshots

_BEST = "* marks the best: the highest mean accuracy of the classes."
_PROTOCOLS = (
    "Compare accuracies within a protocol only: the same images, classes and settings of the splits. "
    "* marks the best of each."
)
_UNKNOWN = "? is unknown: an earlier release did not record it, or removed what the report was made from."


class ConsoleTable(NamedTuple):
    """A table for the console.

    Attributes
    ----------
    titles : list of str
    rows : list of list of str
    right : list of str
        Titles of the columns that are aligned to the right.
    notes : list of str
        Lines below the table.
    """

    titles: list[str]
    rows: list[list[str]]
    right: list[str]
    notes: list[str]


def console_table(ranked: Sequence[RankedResult]) -> ConsoleTable:
    """Return a table with the settings that differ.

    Parameters
    ----------
    ranked : sequence of RankedResult
    """
    results = [each.result for each in ranked]
    with_protocol = len({each.protocol for each in ranked}) > 1
    with_collection = len({each.collection for each in results}) > 1
    differing = [
        name
        for name in differing_settings(results)
        if not (with_collection and name in _PATHS and _is_told_by_collection(name, results))
    ]
    short = _short_names(differing, results)
    columns = {
        "": ["*" if each.is_best else "" for each in ranked],
        **({"protocol": [_known(each.protocol) for each in ranked]} if with_protocol else {}),
        **({"collection": [each.collection or "-" for each in results]} if with_collection else {}),
        "extractor": [each.extractor for each in results],
        **{short[name]: [_shortened(_setting(each, name)) for each in results] for name in differing},
        "images": [_known(each.images) for each in results],
        "classes": [_known(each.classes) for each in results],
        "accuracy": [_accuracy(each) for each in results],
        "training": [_seconds(each.training_seconds) for each in results],
        "run": [each.run_id[:_RUN_ID] for each in results],
        "date (UTC)": [each.committed_at[:16].replace("T", " ") for each in results],
    }
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    notes = [_PROTOCOLS if with_protocol else _BEST] if any(each.is_best for each in ranked) else []
    if any(cell.endswith("?") for row in rows for cell in row):
        notes.append(_UNKNOWN)
    return ConsoleTable(list(columns), rows, ["images", "classes", "training"], notes)


def _is_told_by_collection(setting: str, results: Sequence[Result]) -> bool:
    """Return whether all results of a collection have the same value."""
    pairs = {(each.collection, _setting(each, setting)) for each in results}
    return len(pairs) == len({collection for collection, _ in pairs})


def as_csv(ranked: Sequence[RankedResult]) -> str:
    """Return all figures and settings as CSV, with a line of titles.

    A setting that an extractor does not have is empty, one that is unknown is ``?``.
    """
    names = list(dict.fromkeys(name for each in ranked for name in _setting_names(each.result)))
    text = io.StringIO()
    rows = [
        _figures(each) | {name: _setting(each.result, name, missing="") for name in names} for each in ranked
    ]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(ranked: Sequence[RankedResult]) -> Iterator[str]:
    """Yield a JSON object for each result, with all figures and settings."""
    for each in ranked:
        settings = {"settings": each.result.settings, "unknown_settings": each.result.unknown_settings}
        yield json.dumps(_figures(each) | settings)


def _figures(ranked: RankedResult) -> dict[str, Any]:
    result = ranked.result
    return {
        "protocol": ranked.protocol,
        "best": ranked.is_best,
        "collection": result.collection,
        "extractor": result.extractor,
        "images": result.images,
        "classes": result.classes,
        "splits": result.splits,
        "test_images": result.test_images,
        "mean_per_class_accuracy": result.mean_per_class_accuracy,
        "std_of_mean_per_class_accuracy": result.std_of_mean_per_class_accuracy,
        "accuracy": result.accuracy,
        "dictionary_seconds": result.dictionary_seconds,
        "classifier_seconds": result.classifier_seconds,
        "training_seconds": result.training_seconds,
        "report": result.report,
        "snapshot": result.snapshot,
        "run": result.run_id,
        "committed_at": result.committed_at,
    }


def _setting_names(result: Result) -> list[str]:
    return [*result.settings, *result.unknown_settings]


def _short_names(names: Sequence[str], results: Sequence[Result]) -> dict[str, str]:
    """Return each setting's name without its asset, if no other asset has a setting of that name."""
    known = {name for each in results for name in _setting_names(each)}
    fields = [name.partition(".")[2] for name in known]
    return {name: field if fields.count(field := name.partition(".")[2]) == 1 else name for name in names}


def _setting(result: Result, name: str, missing: str = "-") -> str:
    if name in result.unknown_settings:
        return "?"
    if name not in result.settings:
        return missing
    value = result.settings[name]
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _shortened(text: str) -> str:
    # The end of a path says more than its beginning.
    return text if len(text) <= _LONGEST_SETTING else f"…{text[1 - _LONGEST_SETTING :]}"


def _known(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:,.1f} s"


def _accuracy(result: Result) -> str:
    mean, std = result.mean_per_class_accuracy, result.std_of_mean_per_class_accuracy
    if result.splits == 1:
        return f"{mean:.1%}"
    return f"{mean:.1%} ± {'?' if std is None else f'{100 * std:.1f}'}"
