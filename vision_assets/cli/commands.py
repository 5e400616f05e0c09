"""What each command of the console does."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.storage.snapshots import AssetPath, Snapshot, SnapshotStore, open_store
from vision_assets.vision.formats import DEFAULT_PATTERNS

if TYPE_CHECKING:
    from vision_assets.chains import Chain
    from vision_assets.prediction import Prediction


def _print_path(options: argparse.Namespace) -> None:
    print(_store().require_current(_asset(options.asset)).uri)


def _list_snapshots(options: argparse.Namespace) -> None:
    asset = _asset(options.asset)
    _store().require_current(asset)
    rows = [
        (s.name, s.committed_at, f"{s.rows:,}", _megabytes(s), s.run_id) for s in _store().snapshots(asset)
    ]
    _print_table(("snapshot", "committed", "rows", "size", "run"), rows, right=("rows", "size"))


def _summarize(options: argparse.Namespace) -> None:
    from vision_assets.chains import IMAGES, chain_of  # noqa: PLC0415 - OpenCV only when needed

    store, chain = _store(), chain_of(options.extractor)
    names = (IMAGES, chain.features, chain.dictionary, chain.encodings)
    snapshots = {asset: store.require_current((asset,)) for asset in names}
    snapshots |= _classification(store, snapshots[chain.encodings], chain)
    features, words = snapshots[chain.features].counts, snapshots[chain.dictionary].counts
    rows_are = {chain.dictionary: "words", chain.classifier: "rows", chain.report: "rows"}
    rows = [
        (s.asset, f"{s.rows:,} {rows_are.get(s.asset, 'images')}", f"{s.seconds:,.1f} s", _megabytes(s))
        for s in snapshots.values()
    ]
    _print_table(("asset", "rows", "took", "size"), rows, right=("rows", "took", "size"))
    print(
        f"\n{features['images']:,} images with {features['descriptors']:,} descriptors; "
        f"{features['failures']:,} images could not be read."
    )
    print(
        f"{words['words']:,} words, trained on {words['training_descriptors']:,} descriptors: "
        f"{words['smallest_word_size']:,} to {words['largest_word_size']:,} for each word."
    )
    if chain.report in snapshots:
        report = snapshots[chain.report].counts
        print(
            f"Accuracy {report['accuracy']:.1%}, mean of the classes {report['mean_per_class_accuracy']:.1%} "
            f"(chance: {1 / report['classes']:.1%}), on {report['test_images'] / report['splits']:,.0f} "
            f"test images of {report['classes']:,} classes, mean of {report['splits']:,} split(s)."
        )
    print("\nFolders of the tables:")
    for snapshot in snapshots.values():
        print(f"  {snapshot.uri}")


def _classification(store: SnapshotStore, encodings: Snapshot, chain: "Chain") -> dict[str, Snapshot]:
    """Return classifier and report if they exist and were made from these encodings; else nothing."""
    report = store.current((chain.report,))
    made_from = store.lineage(report) if report else {}
    if report is None or chain.classifier not in made_from:
        return {}
    if made_from.get(chain.encodings) != encodings:
        print(
            f"The classifier was made from older encodings and is not shown. Materialize {chain.classifier} "
            "again.\n"
        )
        return {}
    return {chain.classifier: made_from[chain.classifier], chain.report: report}


def _convert_config(options: argparse.Namespace) -> None:
    import yaml  # noqa: PLC0415 - only when needed

    from vision_assets.chains import CHAINS, PLAIN, chain_of  # noqa: PLC0415 - OpenCV only when needed

    names = dict(zip(CHAINS[PLAIN].assets, chain_of(options.extractor).assets, strict=True))
    try:
        config = yaml.safe_load(options.file.read_text()) or {}
        ops = config.get("ops") or {}
        features = ((ops.get(CHAINS[PLAIN].features) or {}).get("config") or {}).keys()
        both = sorted(name for name, other in names.items() if other != name and {name, other} <= ops.keys())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        why = " ".join(str(error).split())  # YAML's errors have several lines
        raise UserError(f"{options.file} is not a run configuration: {why}") from error
    if both:
        raise UserError(f"{options.file} has {both[0]} and {names[both[0]]}. Remove one of them.")
    extractors = (CHAINS[PLAIN].extractor, chain_of(options.extractor).extractor)
    theirs, ours = ({field.name for field in fields(extractor)} for extractor in extractors)
    if unknown := sorted(features & (theirs - ours)):
        raise UserError(f"{options.extractor} has no {', '.join(unknown)}, which {options.file} sets.")
    config["ops"] = {names.get(op, op): chosen for op, chosen in ops.items()}
    print(yaml.safe_dump(config, sort_keys=False).rstrip())


def _make_sample(options: argparse.Namespace) -> None:
    from vision_assets.vision.samples import write_sample_images  # noqa: PLC0415 - OpenCV only when needed

    try:
        made = write_sample_images(
            options.folder, seed=options.seed, images_per_class=options.images_per_class
        )
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    print(
        f"{options.folder}: {f'{made:,} sample images made' if made else 'the sample images exist already'}"
    )


def _print_completion(options: argparse.Namespace) -> None:
    from vision_assets.cli.completion import completion_script  # noqa: PLC0415 - shtab only when needed

    print(completion_script(options.shell).rstrip())


def _predict(options: argparse.Namespace) -> None:
    from vision_assets.prediction import predict  # noqa: PLC0415 - OpenCV only when needed

    images = [image for path in options.images for image in _image_files(path)]
    predictions = predict(images, top=options.top, extractor=options.extractor)
    failed = 0
    for image, prediction in zip(images, predictions, strict=True):
        failed += prediction.error is not None
        top = list(zip(prediction.labels, prediction.scores, strict=True))
        if options.json:
            print(_as_json(image, top, prediction))
        else:
            classes = "  ".join(f"{label} {score:.3f}" for label, score in top)
            print(f"{image}: {prediction.error or classes}")
    if failed:
        raise UserError(f"{failed:,} of {len(images):,} images could not be read.")


def _as_json(image: Path, top: Sequence[tuple[str, float]], prediction: "Prediction") -> str:
    label, score = top[0] if top else (None, None)
    found = [{"label": label, "score": score} for label, score in top]
    answer = {"image": str(image), "label": label, "score": score, "top": found}
    return json.dumps(answer | {"keypoints": prediction.keypoints, "error": prediction.error})


def _image_files(path: Path) -> list[Path]:
    """Return the image files at any depth of a folder; a path that is not a folder stands for itself."""
    if not path.is_dir():
        return [path]
    suffixes = {pattern.removeprefix("*") for pattern in DEFAULT_PATTERNS}
    named = [file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.name[0] != "."]
    found = [file for file in named if not file.is_dir()]
    if not found:
        raise UserError(f"{path} contains no image: no file name ends in .jpg, .png or the like.")
    return sorted(found)


def _store() -> SnapshotStore:
    return open_store(settings.data_folder())


def _asset(key: str) -> AssetPath:
    return tuple(key.split("/"))


def _megabytes(snapshot: Snapshot) -> str:
    return f"{snapshot.bytes / 1e6:,.1f} MB"


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str]) -> None:
    """Print a table; the columns of the titles in `right` are aligned to the right."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        cells = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, title, width in zip(row, titles, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "summary": _summarize,
    "path": _print_path,
    "snapshots": _list_snapshots,
    "predict": _predict,
    "sample": _make_sample,
    "config": _convert_config,
    "completion": _print_completion,
}
"""Command to what it does with its options."""
