"""The command ``sweep``: runs of all combinations of some settings, and their comparison."""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vision_assets import settings
from vision_assets.cli.console_table import print_table
from vision_assets.cli.run_configs import convert, require_faultless
from vision_assets.collection import Collection, merge_settings, open_collection, read_yaml, settings_of
from vision_assets.errors import UserError
from vision_assets.snapshots.store import open_store

if TYPE_CHECKING:
    from vision_assets.steps.comparison import Result

_EXTRACTOR = "extractor"
_INTERRUPTED = 130


@dataclass(frozen=True)
class Combination:
    """One run of a sweep.

    Parameters
    ----------
    extractor : str
    chosen : mapping
        ``<asset>.<option>`` to value, the assets named as those of the default extractor.
    """

    extractor: str
    chosen: Mapping[str, Any]

    def run_config(self, where: str) -> dict[str, Any]:
        """Return the run configuration, for the job of the extractor."""
        ops: dict[str, Any] = {}
        for name, value in self.chosen.items():
            asset, _, option = name.partition(".")
            ops.setdefault(asset, {"config": {}})["config"][option] = value
        config = {"ops": ops}
        convert(config, self.extractor, where)
        return config

    def tags(self, collection: str) -> dict[str, str]:
        """Return the tags of the run: collection, extractor and settings, by the names of the options."""
        options = [name.partition(".")[2] for name in self.chosen]
        named = {
            option if options.count(option) == 1 else name: _text(value)
            for (name, value), option in zip(self.chosen.items(), options, strict=True)
        }
        return ({"collection": collection} if collection else {}) | {_EXTRACTOR: self.extractor} | named

    def __str__(self) -> str:
        chosen = [f"{name} = {_text(value)}" for name, value in self.chosen.items()]
        return ", ".join([self.extractor, *chosen])


def sweep(options: argparse.Namespace) -> None:
    """Do what the command ``sweep`` is asked for."""
    collection = open_collection(options.collection)
    _require_nothing_kept(collection)
    combinations = read_sweep(options.file)
    for each in combinations:
        given = settings_of(each.run_config(str(options.file)))
        require_faultless(merge_settings(collection.settings, given), collection.source, str(options.file))
    made = _results(collection)
    pending = [each for each in combinations if not _result_of(each, collection, made)]
    if known := len(combinations) - len(pending):
        print(f"{known:,} of {len(combinations):,} combinations have a result already", file=sys.stderr)
    total = len(pending)
    failed = [each for number, each in enumerate(pending, 1) if not _run(each, number, total, collection)]
    if pending and collection.file:
        print(f"The tables get the settings of {collection.file} again.", file=sys.stderr)
        if _execute({}, pending[-1].extractor, collection, tags={}):
            raise UserError("The last run, with the settings of the project file, has failed. Run it again.")
    made = _results(collection)
    found = [result for each in combinations if (result := _result_of(each, collection, made))]
    if found:
        _show(found, options.file.with_suffix(".png"), as_json=options.json)
    if failed:
        names = "; ".join(map(str, failed))
        raise UserError(f"{len(failed):,} of {len(combinations):,} runs have failed: {names}. Run it again.")


def _require_nothing_kept(collection: Collection) -> None:
    """Raise a `UserError` if the project file keeps a table that runs of a sweep would replace."""
    kept = [asset for asset, options in collection.settings.items() if options.get("retrain") == "never"]
    if kept:
        raise UserError(
            f"{collection.file} keeps {' and '.join(kept)} (`retrain: never`), which a sweep would replace. "
            "Make the sweep in a collection of its own with the same source, or set `retrain: when_changed`."
        )


def read_sweep(file: Path) -> list[Combination]:
    """Read the combinations of a sweep, so that those with the same tables upstream follow each other.

    Parameters
    ----------
    file : Path
        YAML: ``<asset>.<option>`` to a list of values, and perhaps ``extractor`` to a list of names.

    Raises
    ------
    UserError
        If it is something else.
    """
    from vision_assets.pipelines import DEFAULT_EXTRACTOR, STEPS, pipeline_of  # noqa: PLC0415 - OpenCV

    grid = read_yaml(file, "a sweep") or {}
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise UserError(
            f"{file} is not a sweep: it has settings, each with a list of values, such as "
            "`kmeans_dictionary.k: [100, 200]`."
        )
    extractors = grid.pop(_EXTRACTOR, [DEFAULT_EXTRACTOR])
    for extractor in extractors:
        pipeline_of(extractor)
    if wrong := [name for name in grid if str(name).count(".") != 1]:
        raise UserError(
            f"{file}: {wrong[0]!r} is no setting: write asset.option, such as kmeans_dictionary.k."
        )
    order = list(STEPS)
    names = sorted(
        grid, key=lambda name: order.index(asset) if (asset := name.partition(".")[0]) in order else -1
    )
    return [
        Combination(extractor, dict(zip(names, values, strict=True)))
        for extractor in extractors
        for values in itertools.product(*(grid[name] for name in names))
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _run(combination: Combination, number: int, total: int, collection: Collection) -> bool:
    """Run a combination; return whether it has a result then."""
    print(f"{number:,} of {total:,}: {combination}", file=sys.stderr)
    config, tags = combination.run_config("the sweep"), combination.tags(collection.name)
    status = _execute(config, combination.extractor, collection, tags)
    if status == _INTERRUPTED:
        print("The sweep continues from here when it is started again.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED)
    return status == 0 and _result_of(combination, collection, _results(collection)) is not None


def _execute(
    config: Mapping[str, Any], extractor: str, collection: Collection, tags: Mapping[str, str]
) -> int:
    """Execute the job in a process of its own, as a user would; return its exit status."""
    from vision_assets.pipelines import pipeline_of  # noqa: PLC0415 - imports OpenCV

    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "vision_assets.definitions"]
    command += ["-j", pipeline_of(extractor).job]
    command += ["-a", collection.name] if collection.name else []
    command += ["--tags", json.dumps(tags)] if tags else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "run.yaml")
        file.write_text(yaml.safe_dump(dict(config)))
        process = subprocess.Popen(  # noqa: S603 - this project's own command
            [*command, "-c", str(file)],
            env={"PYTHONWARNINGS": "ignore::FutureWarning", **os.environ, settings.EXTRACTORS: extractor},
            # A terminal would send Ctrl-C to helpers of Dagster, too, which answer with a stack.
            start_new_session=True,
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()  # the run says what is kept
            process.wait()
            return _INTERRUPTED


def _results(collection: Collection) -> "list[Result]":
    """Return the results of a collection on its current images, the oldest first."""
    from vision_assets.pipelines import IMAGE_ASSET  # noqa: PLC0415 - imports OpenCV
    from vision_assets.steps.comparison import find_results  # noqa: PLC0415 - imports PySpark

    store = open_store(collection.data)
    if (images := store.current((IMAGE_ASSET,))) is None:
        return []
    found = find_results([(collection.name, store)])
    return [each for each in found if (each.image_set or "").partition("/")[0] == images.images]


def _result_of(
    combination: Combination, collection: Collection, results: "Sequence[Result]"
) -> "Result | None":
    """Return the newest result of a combination, if there is one."""
    from vision_assets.pipelines import DEFAULT_EXTRACTOR, IMAGE_ASSET  # noqa: PLC0415 - imports OpenCV
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - imports PySpark

    wanted = {
        f"{asset.removeprefix(f'{combination.extractor}_')}.{name}": value
        for asset, options in collection.settings.items()
        for name, value in SPECS[asset].table_settings(options).items()
    }
    wanted |= {
        name.removeprefix(f"{DEFAULT_EXTRACTOR}_"): value for name, value in combination.chosen.items()
    }
    found = [
        result
        for result in results
        if result.extractor == combination.extractor
        and all(result.settings.get(name) == value for name, value in wanted.items())
        and {*result.changed_settings} - {f"{IMAGE_ASSET}.source"} <= wanted.keys()
    ]
    return found[-1] if found else None


def _show(results: "Sequence[Result]", picture: Path, *, as_json: bool) -> None:
    """Print the results of a sweep as a table or as JSON, and draw them."""
    from vision_assets.cli.comparison import as_json as json_lines  # noqa: PLC0415 - imports PySpark
    from vision_assets.cli.comparison import console_table  # noqa: PLC0415
    from vision_assets.steps.comparison import differing_settings, rank  # noqa: PLC0415
    from vision_assets.vision.draw import accuracy_chart  # noqa: PLC0415 - imports Matplotlib

    ranked = rank(results)
    best = [each.result for each in ranked]
    names = list(_names(best, differing_settings(best)))
    chart = accuracy_chart(
        names,
        [each.mean_per_class_accuracy for each in best],
        [each.std_of_mean_per_class_accuracy or 0.0 for each in best],
    )
    picture.write_bytes(chart.data)
    if as_json:
        print("\n".join(json_lines(ranked)))
        return
    table = console_table(ranked)
    print_table(table.titles, table.rows, right=table.right)
    print("\n".join(["", *table.notes, f"The picture is {picture}."]))


def _names(results: "Sequence[Result]", differing: Sequence[str]) -> Iterator[str]:
    for each in results:
        chosen = [f"{name.partition('.')[2]} {_text(each.settings.get(name))}" for name in differing]
        yield ", ".join(chosen) or each.extractor
