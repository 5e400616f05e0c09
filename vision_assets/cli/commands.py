"""What each command of the console does."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_assets.cli.console_table import print_table
from vision_assets.cli.run_configs import prepare_config
from vision_assets.cli.suspects import list_suspects
from vision_assets.cli.sweep import sweep
from vision_assets.cli.workspace import workspace
from vision_assets.collection import collection_names, data_of
from vision_assets.errors import UnknownNameError, UserError
from vision_assets.snapshots.manifests import changes_of
from vision_assets.snapshots.store import Snapshot, SnapshotStore, open_store
from vision_assets.vision.io.formats import DEFAULT_PATTERNS

if TYPE_CHECKING:
    from vision_assets.pipelines import Pipeline, Step
    from vision_assets.prediction import Prediction
    from vision_assets.steps.spec import StepSpec


def _print_path(options: argparse.Namespace) -> None:
    _, snapshot = _current(options)
    if options.json:
        _print_json({"asset": snapshot.asset, "snapshot": snapshot.name, "path": snapshot.uri})
    else:
        print(snapshot.uri)


def _list_snapshots(options: argparse.Namespace) -> None:
    store, current = _current(options)
    snapshots = store.snapshots(current.asset_path)
    if options.json:
        for snapshot in snapshots:
            _print_json(_as_object(snapshot))
        return
    rows = [(s.name, s.committed_at, f"{s.rows:,}", _megabytes(s), s.run_id) for s in snapshots]
    print_table(("snapshot", "committed", "rows", "size", "run"), rows, right=("rows", "size"))


def _list_assets(options: argparse.Namespace) -> None:
    from vision_assets.pipelines import pipeline_of, steps_of  # noqa: PLC0415 - OpenCV only when needed
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - PySpark only when needed

    chosen = steps_of([pipeline_of(options.extractor)]) if options.extractor else []
    store = _store(options.collection)
    names = [step.asset for step in chosen] or _configured_or_made(store)
    found = [(SPECS[name], store.current((name,))) for name in names]
    if options.json:
        for spec, snapshot in found:
            _print_json(_described(spec, snapshot))
        return
    rows = [
        (
            spec.asset,
            f"{snapshot.rows:,} {spec.table.row_noun}" if snapshot else "not materialized",
            _minute(snapshot) if snapshot else "",
            ", ".join(spec.step.inputs.values()) or "the source",
        )
        for spec, snapshot in found
    ]
    print_table(("asset", "rows", "made (UTC)", "made from"), rows, right=("rows",))


def _configured_or_made(store: SnapshotStore) -> list[str]:
    """Return the assets of the extractors that Dagster has pipelines of, and all that are materialized."""
    from vision_assets.pipelines import STEPS, configured_pipelines, steps_of  # noqa: PLC0415 - as above

    configured = {step.asset for step in steps_of(configured_pipelines())}
    return [asset for asset in STEPS if asset in configured or store.current((asset,))]


def _summarize(options: argparse.Namespace) -> None:
    from vision_assets.pipelines import IMAGES, LABELS, pipeline_of  # noqa: PLC0415 - OpenCV only when needed
    from vision_assets.steps.catalog import SPECS  # noqa: PLC0415 - PySpark only when needed

    store, pipeline = _store(options.collection), pipeline_of(options.extractor)
    snapshots = {IMAGES.asset: store.require_current((IMAGES.asset,))}
    missing, outdated = [], []
    for spec in (SPECS[step.asset] for step in (LABELS, *pipeline.steps)):
        snapshot = store.current((spec.asset,))
        if snapshot is None:
            missing += [] if spec.needs_labels else [spec.asset]
        elif spec.needs_labels and not _is_of(store, snapshot, snapshots, spec.step):
            outdated.append(spec.asset)
        else:
            snapshots[spec.asset] = snapshot
    sentences = [
        summarize(snapshot.counts)
        for snapshot in snapshots.values()
        if (summarize := SPECS[snapshot.asset].summarize)
    ]
    sentences += filter(None, (SPECS[each.asset].warn(each.counts) for each in snapshots.values()))
    if options.json:
        made = [_described(SPECS[asset], snapshot) for asset, snapshot in snapshots.items()]
        _print_json({"assets": made, "sentences": sentences, "missing": missing, "outdated": outdated})
        return
    labels = snapshots[LABELS.asset].counts["labels"] if LABELS.asset in snapshots else None
    for asset in outdated if labels is None or labels > 1 else ():
        print(f"{asset} was made from an older table and is not shown. Materialize it again.\n")
    rows = [
        (
            s.asset,
            f"{s.rows:,} {SPECS[s.asset].table.row_noun}",
            f"{s.seconds:,.1f} s",
            _megabytes(s),
            _minute(s),
            changes_of(s),
        )
        for s in snapshots.values()
    ]
    titles = ("asset", "rows", "took", "size", "made (UTC)", "changes")
    print_table(titles, rows, right=("rows", "took", "size"))
    print()
    for sentence in sentences:
        print(sentence)
    if missing:
        print(f"Not materialized yet: {', '.join(missing)}.")
    elif LABELS.asset in snapshots and (why := _why_no_classifier(store, pipeline, snapshots[LABELS.asset])):
        print(why)
    print("\nThe tables are in:")
    for snapshot in snapshots.values():
        print(f"  {snapshot.uri}")


def _why_no_classifier(store: SnapshotStore, pipeline: "Pipeline", labels: Snapshot) -> str:
    """Return why images with these labels have no classifier, and what to do; empty if they have one."""
    from vision_assets.steps.labels import HOW_TO_LABEL  # noqa: PLC0415 - PySpark only when needed

    classifier, found = pipeline.asset("classifier"), labels.counts["labels"]
    if found > 1:
        if store.current((classifier,)):
            return ""
        return (
            f"There is no {classifier} yet: materialize it. It is skipped where fewer than two of the "
            f"{found:,} labels have two readable images."
        )
    said = "no image has a label" if not found else "all images with a label have the same one"
    return f"There is no {classifier}, because {said}. {HOW_TO_LABEL} Then run again."


def _is_of(store: SnapshotStore, snapshot: Snapshot, shown: Mapping[str, Snapshot], step: "Step") -> bool:
    """Tell whether a snapshot was made from tables with the content of those that are shown."""
    # A report of an earlier release was made from the classifier, not from predictions.
    assets = {*step.inputs.values(), *filter(None, [step.ancestors.get("classifier")])}
    inputs = {asset: store.input_of(snapshot, (asset,)) for asset in assets}
    # A table that was kept names an earlier snapshot of the same content.
    return all(
        read.identity == shown[asset].identity if read and asset in shown else read is shown.get(asset)
        for asset, read in inputs.items()
    )


def _compare(options: argparse.Namespace) -> None:
    from vision_assets.cli.comparison import as_csv, as_json, console_table  # noqa: PLC0415 - as below
    from vision_assets.steps.comparison import find_results, rank  # noqa: PLC0415 - PySpark only when needed

    places = {name: data_of(name) for name in options.collections or ["", *collection_names()]}
    results = {name: find_results([(name, open_store(place))]) for name, place in places.items()}
    empty = [places[name] for name in options.collections if not results[name]]
    if empty or not any(results.values()):
        where = ", ".join(empty or places.values())
        raise UserError(f"There is no report in {where} yet. Materialize classification_report first.")
    ranked = rank([result for found in results.values() for result in found])
    if options.csv:
        print(as_csv(ranked), end="")
    elif options.json:
        for line in as_json(ranked):
            print(line)
    else:
        table = console_table(ranked)
        print_table(table.titles, table.rows, right=table.right)
        print("\n".join(["", *table.notes]))


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
    if not options.quiet:
        done = f"{made:,} sample images made" if made else "the sample images exist already"
        print(f"{options.folder}: {done}")


def _print_completion(options: argparse.Namespace) -> None:
    from vision_assets.cli.completion import completion_script  # noqa: PLC0415 - shtab only when needed

    print(completion_script(options.shell).rstrip())


def _predict(options: argparse.Namespace) -> None:
    from vision_assets.prediction import predict  # noqa: PLC0415 - OpenCV only when needed

    images = _all_image_files(options.images)
    data = data_of(options.collection)
    predictions = predict(images, top=options.top, extractor=options.extractor, data_folder=data)
    failed = 0
    for image, prediction in zip(images, predictions, strict=True):
        failed += prediction.error is not None
        top = list(zip(prediction.labels, prediction.scores, strict=True))
        if options.json:
            _print_json(_answer(image, top, prediction))
        else:
            classes = "  ".join(f"{label} {score:.3f}" for label, score in top)
            print(f"{image}: {prediction.error or classes}")
    _require_all_read(failed, len(images))


def _answer(image: Path, top: Sequence[tuple[str, float]], prediction: "Prediction") -> dict[str, Any]:
    label, score = top[0] if top else (None, None)
    found = [{"label": label, "score": score} for label, score in top]
    answer = {"image": str(image), "label": label, "score": score, "top": found}
    return answer | {"keypoints": prediction.keypoints, "error": prediction.error}


def _encode(options: argparse.Namespace) -> None:
    from vision_assets.cli.vectors import as_text, as_values, require_writer  # noqa: PLC0415 - NumPy
    from vision_assets.encoding import encode  # noqa: PLC0415 - OpenCV only when needed

    write = require_writer(options.output) if options.output else None
    images = _all_image_files(options.images)
    data = data_of(options.collection)
    encoded = encode(images, extractor=options.extractor, data_folder=data)
    if write:
        failed = write(images, encoded)
        if not options.quiet:
            print(f"{options.output}: {len(images) - failed:,} vectors")
    else:
        failed = 0
        for image, one in zip(images, encoded, strict=True):
            failed += one.vector is None
            if options.json:
                vector = None if one.vector is None else as_values(one.vector)
                answer = {"image": str(image), "vector": vector}
                _print_json(answer | {"keypoints": one.keypoints, "error": one.error})
            else:
                print(f"{image}: {one.error if one.vector is None else as_text(one.vector)}")
    _require_all_read(failed, len(images))


def _require_all_read(failed: int, images: int) -> None:
    if failed:
        raise UserError(f"{failed:,} of {images:,} images could not be read.")


def _all_image_files(paths: Sequence[Path]) -> list[Path]:
    """Return the image files that paths stand for; say which folders have none.

    Raises
    ------
    UserError
        If none of the paths has any.
    """
    found = {path: _image_files(path) for path in paths}
    empty = [
        f"{path} contains no image: no file name ends in .jpg, .png or the like."
        for path, files in found.items()
        if not files
    ]
    if len(empty) == len(found):
        raise UserError("\n".join(empty))
    if empty:
        print("\n".join(empty), file=sys.stderr)
    return [image for path in paths for image in found[path]]


def _image_files(path: Path) -> list[Path]:
    """Return the image files at any depth of a folder; a path that is not a folder stands for itself."""
    if not path.is_dir():
        return [path]
    suffixes = {pattern.removeprefix("*") for pattern in DEFAULT_PATTERNS}
    named = [file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.name[0] != "."]
    return sorted(file for file in named if not file.is_dir())


def _store(collection: str) -> SnapshotStore:
    return open_store(data_of(collection))


def _current(options: argparse.Namespace) -> tuple[SnapshotStore, Snapshot]:
    """Return the current snapshot of the asset that the user named, and its store.

    The collection is part of the asset's key in Dagster, or an option of its own.
    """
    *parts, name = list(filter(None, options.asset.split("/"))) or [""]
    collection = "/".join(parts)
    if collection and options.collection:
        raise UserError(f"{options.asset} names its collection: leave --collection out.")
    store = _store(collection or options.collection)
    if name and (snapshot := store.current((name,))):
        return store, snapshot
    from vision_assets.pipelines import STEPS  # noqa: PLC0415 - imports OpenCV

    if name not in STEPS:
        raise UnknownNameError("asset", name, STEPS)
    return store, store.require_current((name,))


def _print_workspace(options: argparse.Namespace) -> None:
    print(workspace().rstrip())


def _minute(snapshot: Snapshot) -> str:
    return snapshot.committed_at[:16].replace("T", " ")


def _megabytes(snapshot: Snapshot) -> str:
    return f"{snapshot.bytes / 1e6:,.1f} MB"


def _described(spec: "StepSpec", snapshot: Snapshot | None) -> dict[str, Any]:
    """Return an asset for programs, with its current snapshot."""
    asset = {
        "asset": spec.asset,
        "description": spec.description.partition("\n")[0],
        "extractor": spec.step.extractor.name if spec.step.extractor else None,
        "inputs": list(spec.step.inputs.values()),
    }
    return asset | (_as_object(snapshot) if snapshot else {"snapshot": None})


def _as_object(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot for programs."""
    return {
        "asset": snapshot.asset,
        "snapshot": snapshot.name,
        "path": snapshot.uri,
        "committed": snapshot.committed_at,
        "rows": snapshot.rows,
        "bytes": snapshot.bytes,
        "seconds": snapshot.seconds,
        "run": snapshot.run_id,
        "made_from": snapshot.inputs,
        "changes": snapshot.changes,
        "counts": snapshot.counts,
        "config": snapshot.config,
    }


def _print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value))


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "summary": _summarize,
    "path": _print_path,
    "snapshots": _list_snapshots,
    "assets": _list_assets,
    "compare": _compare,
    "predict": _predict,
    "encode": _encode,
    "suspects": list_suspects,
    "sample": _make_sample,
    "config": prepare_config,
    "sweep": sweep,
    "workspace": _print_workspace,
    "completion": _print_completion,
}
"""Command to what it does with its options."""
