"""The console command ``vision-assets``: what lies in the data folder, new images, sample images."""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from vision_assets import settings
from vision_assets.errors import UserError, no_permission, redact
from vision_assets.storage.snapshots import AssetPath, Snapshot, SnapshotStore, open_store
from vision_assets.vision.formats import DEFAULT_PATTERNS

if TYPE_CHECKING:
    from vision_assets.chains import Chain
    from vision_assets.prediction import Prediction


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if None.

    Returns
    -------
    int
        Exit status: 0 when fine, 1 when something the user can mend is wrong.
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for file names that are no text
    try:
        options.run(options)
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except PermissionError as error:
        print(no_permission(error.filename), file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        if not (cause := _storage_cause(error)):
            raise
        print(cause, file=sys.stderr)
        return 1
    return 0


def _storage_cause(error: Exception) -> str | None:
    """Return what a storage behind Hadoop has said, in plain words."""
    if "py4j" not in sys.modules:
        return None
    from vision_assets.spark.causes import known_cause  # noqa: PLC0415 - Spark is there already

    cause = known_cause(error)
    return redact(cause.text) if cause else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vision-assets", description=__doc__)
    commands = parser.add_subparsers(required=True)
    path = commands.add_parser("path", help="print the folder of an asset's current snapshot")
    path.add_argument("asset", help="asset key, such as bow_encodings")
    path.set_defaults(run=_path)
    snapshots = commands.add_parser(
        "snapshots", help="list the kept snapshots of an asset, the current one last"
    )
    snapshots.add_argument("asset", help="asset key, such as bow_encodings")
    snapshots.set_defaults(run=_snapshots)
    summary = commands.add_parser("summary", help="print what the pipeline has made")
    _add_extractor(summary)
    summary.set_defaults(run=_summary)
    predict = commands.add_parser("predict", help="classify images with the current classifier")
    predict.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE", help="image file, or folder of them"
    )
    predict.add_argument("--top", type=int, default=1, metavar="N", help="name the N most probable classes")
    _add_extractor(predict)
    predict.add_argument("--json", action="store_true", help="print one JSON object per image and line")
    predict.set_defaults(run=_predict)
    config = commands.add_parser("config", help="print a run configuration for another extractor's job")
    config.add_argument("file", type=Path, help="run configuration of the job bovw_pipeline")
    _add_extractor(config)
    config.set_defaults(run=_config)
    sample = commands.add_parser("sample", help="make a folder of sample images")
    sample.add_argument("folder", type=Path)
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--images-per-class", type=int, default=24)
    sample.set_defaults(run=_sample)
    return parser


def _add_extractor(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--extractor", default="sift", metavar="NAME", help="whose tables: sift (the default), surf, ..."
    )


def _path(options: argparse.Namespace) -> None:
    _print(_store().require_current(_asset(options.asset)).uri)


def _snapshots(options: argparse.Namespace) -> None:
    asset = _asset(options.asset)
    _store().require_current(asset)
    rows = [
        (s.name, s.committed_at, f"{s.rows:,}", _megabytes(s), s.run_id) for s in _store().snapshots(asset)
    ]
    _print_table(("snapshot", "committed", "rows", "size", "run"), rows)


def _summary(options: argparse.Namespace) -> None:
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
    _print_table(("asset", "rows", "took", "size"), rows)
    _print(
        f"\n{features['images']:,} images, {features['failures']:,} of which could not be read; "
        f"{features['descriptors']:,} descriptors; {words['words']:,} words, "
        f"of {words['smallest_word_size']:,} to {words['largest_word_size']:,} descriptors of "
        f"{words['training_descriptors']:,} trained on."
    )
    if chain.report in snapshots:
        report = snapshots[chain.report].counts
        _print(
            f"Accuracy {report['accuracy']:.1%}, mean of the classes {report['mean_per_class_accuracy']:.1%} "
            f"(by chance {1 / report['classes']:.1%}): {report['test_images'] / report['splits']:,.0f} "
            f"test images of {report['classes']:,} classes, mean of {report['splits']:,} split(s)."
        )
    _print("\nThe tables lie in:")
    for snapshot in snapshots.values():
        _print(f"  {snapshot.uri}")


def _classification(store: SnapshotStore, encodings: Snapshot, chain: "Chain") -> dict[str, Snapshot]:
    """Return classifier and report, if there are any and they are of these encodings."""
    report = store.current((chain.report,))
    made_from = store.lineage(report) if report else {}
    if report is None or chain.classifier not in made_from:
        return {}
    if made_from.get(chain.encodings) != encodings:
        _print(f"The classifier is of older encodings and not shown; materialize {chain.classifier} again.\n")
        return {}
    return {chain.classifier: made_from[chain.classifier], chain.report: report}


def _config(options: argparse.Namespace) -> None:
    import yaml  # noqa: PLC0415 - only when needed

    from vision_assets.chains import CHAINS, PLAIN, chain_of  # noqa: PLC0415 - OpenCV only when needed

    names = dict(zip(CHAINS[PLAIN].assets, chain_of(options.extractor).assets, strict=True))
    try:
        config = yaml.safe_load(options.file.read_text()) or {}
        ops = config.get("ops") or {}
        features = ((ops.get(CHAINS[PLAIN].features) or {}).get("config") or {}).keys()
        both = sorted(name for name, other in names.items() if other != name and {name, other} <= ops.keys())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise UserError(f"{options.file} is no run configuration: {error}") from error
    if both:
        raise UserError(f"{options.file} has {both[0]} and {names[both[0]]}: which one is meant?")
    extractors = (CHAINS[PLAIN].extractor, chain_of(options.extractor).extractor)
    theirs, ours = ({field.name for field in fields(extractor)} for extractor in extractors)
    if unknown := sorted(features & (theirs - ours)):
        raise UserError(f"{options.extractor} has no {', '.join(unknown)}, which {options.file} sets.")
    config["ops"] = {names.get(op, op): chosen for op, chosen in ops.items()}
    _print(yaml.safe_dump(config, sort_keys=False).rstrip())


def _sample(options: argparse.Namespace) -> None:
    from vision_assets.vision.samples import write_sample_images  # noqa: PLC0415 - OpenCV only when needed

    try:
        made = write_sample_images(
            options.folder, seed=options.seed, images_per_class=options.images_per_class
        )
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    _print(f"{options.folder}: {f'{made} sample images made' if made else 'the sample images are there'}")


def _predict(options: argparse.Namespace) -> None:
    from vision_assets.prediction import predict  # noqa: PLC0415 - OpenCV only when needed

    images = [image for path in options.images for image in _image_files(path)]
    predictions = predict(images, top=options.top, extractor=options.extractor)
    failed = 0
    for image, prediction in zip(images, predictions, strict=True):
        failed += prediction.error is not None
        top = list(zip(prediction.labels, prediction.scores, strict=True))
        if options.json:
            _print(_as_json(image, top, prediction))
        else:
            classes = "  ".join(f"{label} {score:.3f}" for label, score in top)
            _print(f"{image}: {prediction.error or classes}")
    if failed:
        raise UserError(f"{failed:,} of {len(images):,} images could not be read.")


def _as_json(image: Path, top: Sequence[tuple[str, float]], prediction: "Prediction") -> str:
    label, score = top[0] if top else (None, None)
    found = [{"label": label, "score": score} for label, score in top]
    answer = {"image": str(image), "label": label, "score": score, "top": found}
    return json.dumps(answer | {"keypoints": prediction.keypoints, "error": prediction.error})


def _image_files(path: Path) -> list[Path]:
    """Return the image files in a folder, at any depth; of a file itself."""
    if not path.is_dir():
        return [path]
    suffixes = {pattern.removeprefix("*") for pattern in DEFAULT_PATTERNS}
    named = [file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.name[0] != "."]
    found = [file for file in named if not file.is_dir()]
    if not found:
        raise UserError(f"{path} holds no image: no file in it has a name such as *.jpg or *.png.")
    return sorted(found)


def _store() -> SnapshotStore:
    return open_store(settings.data_folder())


def _asset(key: str) -> AssetPath:
    return tuple(key.split("/"))


def _megabytes(snapshot: Snapshot) -> str:
    return f"{snapshot.bytes / 1e6:,.1f} MB"


def _print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print(line: str) -> None:
    print(line)


if __name__ == "__main__":
    sys.exit(main())
