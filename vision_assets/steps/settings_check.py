"""What is wrong with settings, found before anything runs."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vision_assets.errors import UserError, did_you_mean
from vision_assets.pipelines import IMAGE_ASSET, LABEL_ASSET
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.labels import LabelOptions
from vision_assets.steps.splits import TEST, TRAIN, SplitOptions
from vision_assets.uris import local_path

_SPLIT_GROUP = "(?P<split>"


def option_names(asset: str) -> list[str]:
    """Return the names of an asset's options, in the order of the Launchpad."""
    return [each.name for options in SPECS[asset].options for each in fields(options)]


def find_faults(settings: Mapping[str, Mapping[str, Any]], source: str = "") -> list[str]:
    """Find what is wrong with settings.

    Parameters
    ----------
    settings : mapping
        Asset to option to value.
    source : str
        Source of the images, unless the settings name one. Only a folder on this machine is looked at.

    Returns
    -------
    list of str
        A sentence for each fault: an unknown asset or option, a value of another type or out of range,
        a split by folders that the source does not have.
    """
    faults = find_wrong_values(settings)
    if not faults:
        source = settings.get(IMAGE_ASSET, {}).get("source") or source
        source = "" if _is_from_environment(source) else source
        faults = [
            fault for asset, options in settings.items() for fault in _faults_of_split(asset, options, source)
        ]
        faults += _faults_of_labels(settings.get(LABEL_ASSET, {}))
        faults += _faults_of_given_splits(settings)
    return faults


def find_wrong_values(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Find unknown assets and options, and values of another type or out of range, as `find_faults` does."""
    return [fault for asset, options in settings.items() for fault in _faults_of_asset(asset, options)]


def find_missing(settings: Mapping[str, Mapping[str, Any]], source: str = "") -> list[str]:
    """Return a sentence for each file or folder of this machine that is named and does not exist.

    Parameters
    ----------
    settings : mapping
        Asset to option to value.
    source : str
        Source of the images, unless the settings name one.
    """
    named = {
        "source": settings.get(IMAGE_ASSET, {}).get("source") or source,
        f"{LABEL_ASSET}.labels": settings.get(LABEL_ASSET, {}).get("labels"),
    }
    paths = {name: local_path(text) for name, text in named.items() if text and isinstance(text, str)}
    return [f"{name}: {path} does not exist." for name, path in paths.items() if path and not path.exists()]


def _faults_of_asset(asset: str, options: Mapping[str, Any]) -> Iterator[str]:
    if asset not in SPECS:
        yield f"There is no asset {asset}{did_you_mean(asset, SPECS)}."
        return
    known = option_names(asset)
    for name in options:
        if name not in known:
            has = f"It has {', '.join(known)}." if known else "It has no settings."
            yield f"{asset} has no setting {name}{did_you_mean(str(name), known)}. {has}"
    for kind in SPECS[asset].options:
        for each in fields(kind):
            if each.name in options and not _is_from_environment(options[each.name]):
                try:
                    kind.from_config({each.name: options[each.name]})
                except ValueError as error:
                    yield f"{asset}.{error}."


def _is_from_environment(value: Any) -> bool:
    """Tell whether Dagster takes a value from an environment variable when the run starts."""
    return isinstance(value, dict) and value.keys() == {"env"}


def _faults_of_labels(options: Mapping[str, Any]) -> Iterator[str]:
    fixed = {name: value for name, value in options.items() if not _is_from_environment(value)}
    try:
        LabelOptions.from_config(fixed).require_usable()
    except UserError as error:
        yield f"{LABEL_ASSET}: {error}"


def _faults_of_given_splits(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    labels = settings.get(LABEL_ASSET, {})
    if labels.get("labels") or _SPLIT_GROUP in str(labels.get("label_pattern", "")):
        return
    for asset, options in settings.items():
        if SplitOptions in SPECS[asset].options and options.get("split") == "labels":
            yield (
                f"{asset}.split is labels, but nothing gives a split: set `labels` of {LABEL_ASSET} to a "
                "file with a column split, or `label_pattern` with a group split."
            )


def _faults_of_split(asset: str, options: Mapping[str, Any], source: str) -> Iterator[str]:
    if SplitOptions not in SPECS[asset].options or options.get("split") != "folder":
        return
    folder = local_path(source) if source else None
    if folder is None or not folder.is_dir():
        return  # the classifier tells, once the images are known
    if missing := [name for name in (TRAIN, TEST) if not Path(folder, name).is_dir()]:
        yield (
            f"{asset}.split is folder, but {folder} has no folder {' and no folder '.join(missing)}. "
            f"It needs {TRAIN}/<class> and {TEST}/<class>; otherwise set split: random."
        )
