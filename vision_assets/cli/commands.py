"""What each command of the console does."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.snapshots.store import AssetPath, Snapshot, SnapshotStore, open_store
from vision_assets.vision.io.formats import DEFAULT_PATTERNS

if TYPE_CHECKING:
    from vision_assets.pipelines import Pipeline, Step
    from vision_assets.prediction import Prediction


def _print_path(options: argparse.Namespace) -> None:
    print(_current(options.asset).uri)


def _list_snapshots(options: argparse.Namespace) -> None:
    asset = _current(options.asset).asset_path
    rows = [
        (s.name, s.committed_at, f"{s.rows:,}", _megabytes(s), s.run_id) for s in _store().snapshots(asset)
    ]
    _print_table(("snapshot", "committed", "rows", "size", "run"), rows, right=("rows", "size"))


def _summarize(options: argparse.Namespace) -> None:
    from vision_assets.pipelines import IMAGES, pipeline_of  # noqa: PLC0415 - OpenCV only when needed
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - PySpark only when needed

    store, pipeline = _store(), pipeline_of(options.extractor)
    snapshots = {IMAGES.asset: store.require_current((IMAGES.asset,))}
    missing = []
    for spec in (SPECS[step.asset] for step in pipeline.steps):
        snapshot = store.current((spec.asset,))
        if snapshot is None:
            missing += [] if spec.needs_labels else [spec.asset]
        elif spec.needs_labels and not _is_of(store, snapshot, snapshots, spec.step):
            print(f"{spec.asset} was made from an older table and is not shown. Materialize it again.\n")
        else:
            snapshots[spec.asset] = snapshot
    rows = [
        (s.asset, f"{s.rows:,} {SPECS[s.asset].table.row_noun}", f"{s.seconds:,.1f} s", _megabytes(s))
        for s in snapshots.values()
    ]
    _print_table(("asset", "rows", "took", "size"), rows, right=("rows", "took", "size"))
    print()
    for snapshot in snapshots.values():
        if summarize := SPECS[snapshot.asset].summarize:
            print(summarize(snapshot.counts))
    if missing:
        print(f"Not materialized yet: {', '.join(missing)}.")
    print("\nThe tables are in:")
    for snapshot in snapshots.values():
        print(f"  {snapshot.uri}")


def _is_of(store: SnapshotStore, snapshot: Snapshot, shown: Mapping[str, Snapshot], step: "Step") -> bool:
    """Tell whether a snapshot was made from tables with the content of those that are shown."""
    inputs = {asset: store.input_of(snapshot, (asset,)) for asset in step.inputs.values()}
    # A table that was kept names an earlier snapshot of the same content.
    return all(
        read is not None and asset in shown and read.identity == shown[asset].identity
        for asset, read in inputs.items()
    )


def _convert_config(options: argparse.Namespace) -> None:
    import yaml  # noqa: PLC0415 - only when needed

    # These import OpenCV.
    from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINES, pipeline_of  # noqa: PLC0415
    from vision_assets.vision.features import EXTRACTORS  # noqa: PLC0415

    default, chosen = PIPELINES[DEFAULT_EXTRACTOR], pipeline_of(options.extractor)
    names = _counterparts(default, chosen)
    config = _read_config(options.file)
    ops: dict[str, Any] = config.get("ops") or {}
    if lost := sorted(ops.keys() & set(default.assets) - names.keys()):
        raise UserError(
            f"{options.extractor} has no counterpart of {', '.join(lost)}, which {options.file} sets."
        )
    both = sorted(name for name, other in names.items() if other != name and {name, other} <= ops.keys())
    if both:
        raise UserError(f"{options.file} has {both[0]} and {names[both[0]]}. Remove one of them.")
    features = ((ops.get(default.asset("features")) or {}).get("config") or {}).keys()
    theirs, ours = ({field.name for field in fields(EXTRACTORS[each.name])} for each in (default, chosen))
    if unknown := sorted(features & (theirs - ours)):
        raise UserError(f"{options.extractor} has no {', '.join(unknown)}, which {options.file} sets.")
    config["ops"] = {names.get(op, op): settings for op, settings in ops.items()}
    print(yaml.safe_dump(config, sort_keys=False).rstrip())


def _counterparts(default: "Pipeline", chosen: "Pipeline") -> dict[str, str]:
    """Return the asset of one pipeline to that of another: the first of a kind to the first, and so on."""
    found: dict[str, str] = {}
    for kind in {step.kind: None for step in default.steps}:
        ours = [step.asset for step in chosen.steps if step.kind == kind]
        theirs = [step.asset for step in default.steps if step.kind == kind]
        found |= dict(zip(theirs, ours, strict=False))
    return found


def _read_config(file: Path) -> dict[str, Any]:
    """Read a run configuration as far as `config` needs it."""
    import yaml  # noqa: PLC0415 - only when needed

    try:
        config = yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())  # YAML's errors have several lines
        raise UserError(f"{file} is not a run configuration: {why}") from error
    if not _is_run_config(config):
        raise UserError(
            f"{file} is not a run configuration: `ops:` must name assets, each with `config:` and settings."
        )
    return dict(config)


def _is_run_config(config: object) -> bool:
    ops = (config.get("ops") or {}) if isinstance(config, dict) else None
    return isinstance(ops, dict) and all(
        isinstance(op or {}, dict) and isinstance((op or {}).get("config") or {}, dict) for op in ops.values()
    )


def _make_sample(options: argparse.Namespace) -> None:
    from vision_assets.vision.data.samples import write_sample_images  # noqa: PLC0415 - OpenCV only when needed

    try:
        made = write_sample_images(
            options.folder, seed=options.seed, images_per_class=options.images_per_class
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        cause = str(error) if error.strerror is None else error.strerror
        raise UserError(
            f"cannot make the sample in {options.folder}: {cause}. Name another folder."
        ) from error
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


def _current(key: str) -> Snapshot:
    """Return the current snapshot of an asset that the user named."""
    asset: AssetPath = tuple(filter(None, key.split("/")))
    if asset and (snapshot := _store().current(asset)):
        return snapshot
    from vision_assets.pipelines import STEPS  # noqa: PLC0415 - imports OpenCV

    if "/".join(asset) not in STEPS:
        raise UserError(f"There is no asset {key!r}: choose one of {', '.join(STEPS)}.")
    return _store().require_current(asset)


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
