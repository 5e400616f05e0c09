"""The command ``config``: run configurations and project files are checked, converted and saved."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vision_assets import settings
from vision_assets.collection import (
    SOURCE,
    AssetSettings,
    Collection,
    merge_settings,
    open_collection,
    read_project_file,
    read_yaml,
    settings_of,
)
from vision_assets.errors import UserError, did_you_mean
from vision_assets.snapshots.store import Snapshot, open_store

if TYPE_CHECKING:
    from vision_assets.pipelines import Pipeline

_RUN_CONFIG = ("ops", "resources", "execution", "loggers")
"""What a run configuration has at its top."""


def prepare_config(options: argparse.Namespace) -> None:
    """Do what the command ``config`` is asked for."""
    if options.save:
        _save(options.save, open_collection(options.collection))
    elif options.check:
        _check(options.check, open_collection(options.collection))
    else:
        _print_config(options)


def _print_config(options: argparse.Namespace) -> None:
    """Print a run configuration for an extractor, with single settings changed."""
    collection = open_collection(options.collection)
    config = _read_run_config(options.file) if options.file else {}
    file = str(options.file)
    require_faultless(collection.settings, collection.source, str(collection.file))
    require_faultless(settings_of(config), "", file)
    names = convert(config, options.extractor, file)
    for text in options.set:
        asset, option, value = _assignment(text)
        _require_values({asset: {option: value}}, text)
        asset = names.get(asset, asset)
        _require_of_pipeline(asset, options.extractor, text)
        config.setdefault("ops", {}).setdefault(asset, {}).setdefault("config", {})[option] = value
    # A split by folders that one of them sets needs the source that another one names.
    where = " ".join(options.set) or file
    require_faultless(merge_settings(collection.settings, settings_of(config)), collection.source, where)
    if collection.settings:
        print(f"# Every run starts from {collection.file}:")
        for line in _as_yaml(dict(collection.settings)).splitlines():
            print(f"#   {line}")
    print(_as_yaml(config).rstrip())


def _as_yaml(content: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _assignment(text: str) -> tuple[str, str, Any]:
    """Split ``ASSET.OPTION=VALUE``; the value is YAML."""
    name, is_given, value = text.partition("=")
    asset, has_option, option = name.partition(".")
    if not (is_given and has_option and asset and option):
        raise UserError(f"{text!r} is no setting: write ASSET.OPTION=VALUE, such as kmeans_dictionary.k=200.")
    try:
        return asset, option, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(
            f"{text!r}: the value is no YAML. In SET='…' a space ends a setting: write lists as [a,b]."
        ) from error


def convert(config: dict[str, Any], extractor: str, where: str) -> dict[str, str]:
    """Give the assets of the default extractor in a run configuration the names of another one's.

    Returns
    -------
    dict
        Those names, also of assets that the configuration does not have.
    """
    # These import OpenCV.
    from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINES, pipeline_of  # noqa: PLC0415
    from vision_assets.vision.features import EXTRACTORS  # noqa: PLC0415

    default, chosen = PIPELINES[DEFAULT_EXTRACTOR], pipeline_of(extractor)
    names = _counterparts(default, chosen)
    ops: dict[str, Any] = config.get("ops") or {}
    if lost := sorted(ops.keys() & set(default.assets) - names.keys()):
        raise UserError(f"{extractor} has no counterpart of {', '.join(lost)}, which {where} sets.")
    both = sorted(name for name, other in names.items() if other != name and {name, other} <= ops.keys())
    if both:
        raise UserError(f"{where} has {both[0]} and {names[both[0]]}. Remove one of them.")
    features = ((ops.get(default.asset("features")) or {}).get("config") or {}).keys()
    theirs, ours = ({field.name for field in fields(EXTRACTORS[each.name])} for each in (default, chosen))
    if unknown := sorted(features & (theirs - ours)):
        raise UserError(f"{extractor} has no {', '.join(unknown)}, which {where} sets.")
    if ops:
        config["ops"] = {names.get(op, op): settings for op, settings in ops.items()}
        for op in config["ops"]:
            _require_of_pipeline(op, extractor, where)
    return names


def _require_of_pipeline(asset: str, extractor: str, where: str) -> None:
    from vision_assets.pipelines import PIPELINE_OF_ASSET  # noqa: PLC0415 - imports OpenCV

    pipeline = PIPELINE_OF_ASSET.get(asset)
    if pipeline and pipeline.name != extractor:
        raise UserError(
            f"{where}: {asset} belongs to the pipeline of {pipeline.name}, this run is that of {extractor}. "
            f"Leave it out, or choose EXTRACTOR={pipeline.name} (--extractor {pipeline.name})."
        )


def _counterparts(default: "Pipeline", chosen: "Pipeline") -> dict[str, str]:
    """Return the asset of one pipeline to that of another: the first of a kind to the first, and so on."""
    found: dict[str, str] = {}
    for kind in {step.kind: None for step in default.steps}:
        ours = [step.asset for step in chosen.steps if step.kind == kind]
        theirs = [step.asset for step in default.steps if step.kind == kind]
        found |= dict(zip(theirs, ours, strict=False))
    return found


def _check(file: Path, collection: Collection) -> None:
    """Check a run configuration or a project file."""
    content = read_yaml(file, "a run configuration or a project file") or {}
    if isinstance(content, dict) and content.keys() & set(_RUN_CONFIG):
        given = settings_of(_read_run_config(file))
        require_faultless(merge_settings(collection.settings, given), collection.source, str(file))
    else:
        named = read_project_file(file)
        require_faultless(named.settings, named.source, str(file))
    print(f"{file}: no fault found")


def require_faultless(given: AssetSettings, source: str, where: str) -> None:
    """Raise a `UserError` with a line for each fault in settings."""
    from vision_assets.steps.settings_check import find_faults, find_missing  # noqa: PLC0415 - imports PySpark

    if faults := [*find_faults(given, source), *find_missing(given, source)]:
        raise UserError("\n".join(f"{where}: {fault}" for fault in faults))


def _require_values(given: AssetSettings, where: str) -> None:
    """Raise a `UserError` for settings that are wrong whatever else is set."""
    from vision_assets.steps.settings_check import find_wrong_values  # noqa: PLC0415 - imports PySpark

    if faults := find_wrong_values(given):
        raise UserError("\n".join(f"{where}: {fault}" for fault in faults))


def _read_run_config(file: Path) -> dict[str, Any]:
    """Read a run configuration as far as its settings need it."""
    config = read_yaml(file, "a run configuration") or {}
    if not _is_run_config(config):
        raise UserError(
            f"{file} is not a run configuration: `ops:` must name assets, each with `config:` and settings."
        )
    if unknown := [key for key in config if key not in _RUN_CONFIG]:
        raise UserError(
            f"{file} is not a run configuration: it has {unknown[0]!r} at its top"
            f"{did_you_mean(str(unknown[0]), _RUN_CONFIG)}, where {', '.join(_RUN_CONFIG)} belong."
        )
    for asset, op in (config.get("ops") or {}).items():
        if wrong := [name for name in op or {} if name not in _OF_AN_OP]:
            raise UserError(
                f"{file}: {asset} has {wrong[0]!r} where `config:` belongs. Write the settings of an asset "
                "one level deeper, below `config:`."
            )
    return dict(config)


_OF_AN_OP = ("config", "ins", "outs", "inputs", "outputs")


def _is_run_config(config: object) -> bool:
    ops = (config.get("ops") or {}) if isinstance(config, dict) else None
    return isinstance(ops, dict) and all(
        isinstance(op or {}, dict) and isinstance((op or {}).get("config") or {}, dict) for op in ops.values()
    )


def _save(run: str, collection: Collection) -> None:
    """Write the settings of a run to the project file of a collection."""
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - imports PySpark

    file = collection.file or settings.project_file()
    store = open_store(collection.data)
    made = {asset: snapshot for asset in SPECS if (snapshot := _made_by(run, store.snapshots((asset,))))}
    run_id = next(iter(made.values())).run_id if made else ""
    # Tables that the run kept have settings, too.
    made = {asset: each for table in made.values() for asset, each in store.lineage(table).items()} | made
    if not made:
        raise UserError(
            f"{collection.data} has no table that run {run!r} made. A run makes none of what is up to date: "
            "`vision-assets snapshots ASSET` lists the runs that made the tables."
        )
    content = dict(read_yaml(file, "a project file") or {}) if file.exists() else {}
    for asset, snapshot in made.items():
        content.pop(asset, None)
        if changed := _differing(asset, snapshot):
            content[asset] = changed
    source = made["image_seqfile"].config.get(SOURCE) if "image_seqfile" in made else None
    if source and source != collection.source_in_file:  # as the file has it, perhaps relative to itself
        content = {SOURCE: source, **{k: v for k, v in content.items() if k != SOURCE}}
    _replace(file, _as_yaml(content))
    print(f"{file} has the settings of run {run_id} for {', '.join(made)}")


def _made_by(run: str, snapshots: Sequence[Snapshot]) -> Snapshot | None:
    found = [snapshot for snapshot in snapshots if snapshot.run_id.startswith(run)]
    if len({snapshot.run_id for snapshot in found}) > 1:
        raise UserError(f"{run!r} is the beginning of several runs' ids. Give more of it.")
    return found[-1] if found else None


def _differing(asset: str, snapshot: Snapshot) -> dict[str, Any]:
    """Return the settings of a table that differ from the defaults, and are not those of one run."""
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - imports PySpark

    defaults = {
        each.name: list(each.default) if isinstance(each.default, tuple) else each.default
        for options in SPECS[asset].options
        for each in fields(options)
        if each.name != SOURCE
    }
    return {
        name: snapshot.config[name]
        for name, default in SPECS[asset].table_settings(defaults).items()
        if name in snapshot.config and snapshot.config[name] != default
    }


def _replace(file: Path, text: str) -> None:
    """Write a file completely or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}.") from error
