"""Comparison of results: the figures of each report that was ever made, and the settings behind them.

Only manifests are read, also those of pruned snapshots: neither tables nor Spark are needed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, NamedTuple

from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, LABEL_ASSET, STEPS
from vision_assets.snapshots.history import History
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.splits import SplitOptions, split_settings

Lineage = Mapping[str, Snapshot | None]
"""Asset to the snapshot that a report was made from; None if nothing is known of it any more."""


class Protocol(NamedTuple):
    """How a classifier was tested: accuracies of different protocols are not comparable.

    Attributes
    ----------
    labels : str
        Fingerprint of the classes and the numbers of the splits.
    split : str
        The settings of the splits, as JSON.
    """

    labels: str
    split: str


@dataclass(frozen=True)
class Result:
    """The figures of a report, and what it was made from.

    Parameters
    ----------
    collection : str
        Name of the collection; empty for the data folder itself.
    extractor, report, snapshot, run_id : str
        Name of the extractor, of the report's asset and of its snapshot; the run that made it.
    committed_at : str
        UTC, ISO 8601.
    settings : mapping
        ``<asset>.<field>`` to value, for all assets that the report was made from. Names of assets are
        without the extractor, so that those of two extractors can be compared. Options that concern a run
        alone are left out.
    changed_settings : tuple of str
        Settings with another value than the default, which two extractors may have different ones of.
    unknown_settings : tuple of str
        Settings of assets of which no manifest is left.
    images : int, optional
        Number of images; None if it is unknown.
    classes, splits, test_images : int
        Test images of all splits together.
    mean_per_class_accuracy, accuracy : float
        From 0 to 1, mean over the splits.
    std_of_mean_per_class_accuracy : float, optional
        Standard deviation (with n - 1) over the splits; None for a single split, or if it is unknown.
    dictionary_seconds, classifier_seconds : float, optional
        Time that it took to make the dictionary and the classifier; None if it is unknown.
    protocol : Protocol, optional
        None if it is unknown.
    image_set : str, optional
        Identifies the names and the contents of the images; None if it is unknown.
    """

    collection: str
    extractor: str
    report: str
    snapshot: str
    run_id: str
    committed_at: str
    settings: Mapping[str, Any]
    changed_settings: tuple[str, ...]
    unknown_settings: tuple[str, ...]
    images: int | None
    classes: int
    splits: int
    test_images: int
    mean_per_class_accuracy: float
    accuracy: float
    std_of_mean_per_class_accuracy: float | None
    dictionary_seconds: float | None
    classifier_seconds: float | None
    protocol: Protocol | None
    image_set: str | None

    @property
    def training_seconds(self) -> float | None:
        """Time that the dictionary and the classifier took; None if it is unknown."""
        if self.dictionary_seconds is None or self.classifier_seconds is None:
            return None
        return round(self.dictionary_seconds + self.classifier_seconds, 3)


@dataclass(frozen=True)
class RankedResult:
    """A result and its place among others.

    Parameters
    ----------
    result : Result
    protocol : int, optional
        Number of the group of results with the same protocol and the same images, from 1; None if it is
        unknown what the result can be compared with.
    is_best : bool
        Whether no result of the group has a higher mean accuracy of the classes.
    """

    result: Result
    protocol: int | None
    is_best: bool


def find_results(collections: Iterable[tuple[str, SnapshotStore]]) -> list[Result]:
    """Find the results of all reports that were ever made, those included whose tables were pruned.

    Parameters
    ----------
    collections : iterable of (str, SnapshotStore)
        Name and data folder of each collection.

    Returns
    -------
    list of Result

    Raises
    ------
    UserError
        If a manifest is damaged.
    """
    reports = [step.asset for step in STEPS.values() if step.kind == "report"]
    found = []
    for collection, store in collections:
        history = store.history()
        found += [
            _result(collection, report, history.lineage(report))
            for asset in reports
            for report in history.snapshots((asset,))
        ]
    return found


def rank(results: Sequence[Result]) -> list[RankedResult]:
    """Sort results by the mean accuracy of the classes.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of RankedResult
        The best first; results of the same protocol and images together, and last those of which it is
        unknown. The newest comes first among equals.
    """
    by_accuracy = sorted(results, key=lambda each: each.committed_at, reverse=True)
    by_accuracy.sort(key=lambda each: each.mean_per_class_accuracy, reverse=True)
    groups: dict[tuple[Protocol, str], list[Result]] = {}
    for each in by_accuracy:
        if each.protocol and each.image_set:
            groups.setdefault((each.protocol, each.image_set), []).append(each)
    ranked = [
        RankedResult(each, number, each.mean_per_class_accuracy == group[0].mean_per_class_accuracy)
        for number, group in enumerate(groups.values(), 1)
        for each in group
    ]
    unknown = [each for each in by_accuracy if not (each.protocol and each.image_set)]
    return ranked + [RankedResult(each, None, is_best=False) for each in unknown]


def differing_settings(results: Sequence[Result]) -> list[str]:
    """Return the settings that have different values among those results which have them, as data flows.

    Those are left out of which all results have the default of their extractor.
    """
    values: dict[str, list[Any]] = {}
    for each in results:
        for name, value in each.settings.items():
            values.setdefault(name, []).append(value)
    assets = list(dict.fromkeys(_asset_of(name) for name in values))
    changed = {name for each in results for name in each.changed_settings}
    return [
        name
        for name, found in sorted(values.items(), key=lambda item: assets.index(_asset_of(item[0])))
        if name in changed and any(value != found[0] for value in found)
    ]


def _asset_of(setting: str) -> str:
    return setting.partition(".")[0]


def latest_results(history: History, report: Snapshot, most: int) -> list[Result]:
    """Return the result of a report and of those before it with the same protocol and images.

    Parameters
    ----------
    history : History
    report : Snapshot
    most : int
        Number of reports that are looked at.

    Returns
    -------
    list of Result
        The newest first; damaged manifests end it.
    """
    found = [_result("", report, history.lineage(report))]
    with suppress(UserError):
        for each in islice(history.earlier(report), most - 1):
            result = _result("", each, history.lineage(each))
            if (result.protocol, result.image_set) == (found[0].protocol, found[0].image_set):
                found.append(result)
    return found


def earlier_report(history: History, report: Snapshot) -> Snapshot | None:
    """Return the last report before another one with the same protocol, on whatever images.

    Parameters
    ----------
    history : History
    report : Snapshot

    Returns
    -------
    Snapshot or None

    Raises
    ------
    UserError
        If a manifest is damaged.
    """
    protocol = _protocol(report, history.lineage(report))
    if protocol is None:
        return None
    before = history.earlier(report)
    return next((each for each in before if _protocol(each, history.lineage(each)) == protocol), None)


def _result(collection: str, report: Snapshot, lineage: Lineage) -> Result:
    step, counts = STEPS[report.asset], report.counts
    extractor = step.extractor.name if step.extractor else ""
    images = lineage.get(IMAGE_ASSET)
    made_from = {**lineage, report.asset: report}
    unknown = _unknown_assets(report.asset, lineage)

    def settings_of(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            f"{asset.removeprefix(f'{extractor}_')}.{name}": value
            for asset in _in_order(configs)
            for name, value in _settings(asset, configs[asset]).items()
        }

    configs = {asset: snapshot.config for asset, snapshot in made_from.items() if snapshot}
    settings, defaults = settings_of(configs), settings_of({asset: {} for asset in configs})
    return Result(
        collection=collection,
        extractor=extractor,
        report=report.asset,
        snapshot=report.name,
        run_id=report.run_id,
        committed_at=report.committed_at,
        settings=settings,
        changed_settings=tuple(
            name for name, value in settings.items() if name not in defaults or value != defaults[name]
        ),
        unknown_settings=tuple(settings_of({asset: {} for asset in unknown})),
        images=images.rows if images else None,
        classes=int(counts["classes"]),
        splits=int(counts["splits"]),
        test_images=int(counts["test_images"]),
        mean_per_class_accuracy=counts["mean_per_class_accuracy"],
        accuracy=counts["accuracy"],
        std_of_mean_per_class_accuracy=counts.get("std_of_mean_per_class_accuracy"),
        dictionary_seconds=_seconds("dictionary", lineage, is_complete=not unknown),
        classifier_seconds=_seconds("classifier", lineage, is_complete=not unknown),
        protocol=_protocol(report, lineage),
        image_set=_image_set(collection, report, lineage),
    )


def _in_order(assets: Iterable[str]) -> list[str]:
    """Sort assets as data flows; those that no pipeline has any more come last."""
    order = {asset: number for number, asset in enumerate(STEPS)}
    return sorted(assets, key=lambda asset: (order.get(asset, len(order)), asset))


def _settings(asset: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the content of an asset depends on; a missing one has its default."""
    options = [each for kind in _options(asset) for each in fields(kind)]
    defaults = {each.name: each.default for each in options}
    of_run = {each.name for each in options if not each.metadata.get("changes_table", True)}
    return {
        # JSON has lists in place of tuples.
        name: list(value) if isinstance(value, tuple) else value
        for name, value in (defaults | dict(config)).items()
        if name not in of_run
    }


def _options(asset: str) -> tuple[type[Any], ...]:
    # A report of an earlier release may have been made from an asset that no longer exists.
    return SPECS[asset].options if asset in SPECS else ()


def _unknown_assets(report: str, lineage: Lineage) -> set[str]:
    """Return the assets that a report was made from and of which nothing is known."""
    unknown = {asset for asset, snapshot in lineage.items() if snapshot is None}
    if not unknown:
        return unknown
    upstream, todo = set[str](), [report]
    while todo:
        step = STEPS.get(todo.pop())
        new = {*step.inputs.values(), *step.ancestors.values()} - upstream if step else set()
        upstream |= new
        todo += new
    return unknown | (upstream - lineage.keys())


def _seconds(kind: str, lineage: Lineage, *, is_complete: bool) -> float | None:
    """Return how long it took to make the snapshots of a kind of step; None if it is unknown."""
    found = [snapshot for asset, snapshot in lineage.items() if asset in STEPS and STEPS[asset].kind == kind]
    if not (found or is_complete):
        return None
    seconds = [snapshot.seconds for snapshot in found if snapshot]
    return round(sum(seconds), 3) if len(seconds) == len(found) else None


def _protocol(report: Snapshot, lineage: Lineage) -> Protocol | None:
    for asset, snapshot in lineage.items():
        if any(issubclass(kind, SplitOptions) for kind in _options(asset)):
            if snapshot is None:
                return None
            return Protocol(report.keys, json.dumps(split_settings(snapshot.config), sort_keys=True))
    return None


def _image_set(collection: str, report: Snapshot, lineage: Lineage) -> str | None:
    images, labels = lineage.get(IMAGE_ASSET), lineage.get(LABEL_ASSET)
    if images and images.images:
        # Labels that do not follow from the names of the images may change without them.
        if labels and _settings(LABEL_ASSET, labels.config) != _settings(LABEL_ASSET, {}):
            return f"{images.images}/{labels.version}"
        return images.images
    # Manifests of the first releases have no fingerprint: reports on the same snapshot have the same images.
    made = [report, *filter(None, lineage.values())]
    name = next((each.inputs[IMAGE_ASSET] for each in made if IMAGE_ASSET in each.inputs), None)
    return f"{collection}/{name}" if name else None
