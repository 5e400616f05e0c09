"""The console command ``vision-assets``: what lies in the data folder, and sample images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.storage.files import open_files
from vision_assets.storage.snapshots import AssetPath, Snapshot, SnapshotStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = {
    "image_seqfile": "images",
    "sift_features": "images",
    "kmeans_dictionary": "words",
    "bow_encodings": "images",
}


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
    try:
        options.run(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


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
    summary.set_defaults(run=_summary)
    sample = commands.add_parser("sample", help="make a folder of sample images")
    sample.add_argument("folder", type=Path)
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--images-per-class", type=int, default=24)
    sample.set_defaults(run=_sample)
    return parser


def _path(options: argparse.Namespace) -> None:
    _print(_store().require_current(_asset(options.asset)).uri)


def _snapshots(options: argparse.Namespace) -> None:
    asset = _asset(options.asset)
    _store().require_current(asset)
    rows = [
        (s.name, s.committed_at, f"{s.rows:,}", _megabytes(s), s.run_id) for s in _store().snapshots(asset)
    ]
    _print_table(("snapshot", "committed", "rows", "size", "run"), rows)


def _summary(_: argparse.Namespace) -> None:
    store = _store()
    snapshots = {asset: store.require_current((asset,)) for asset in _ROWS}
    features, words = snapshots["sift_features"].counts, snapshots["kmeans_dictionary"].counts
    rows = [
        (s.asset, f"{s.rows:,} {_ROWS[s.asset]}", f"{s.seconds:,.1f} s", _megabytes(s))
        for s in snapshots.values()
    ]
    _print_table(("asset", "rows", "took", "size"), rows)
    _print(
        f"\n{features['images']:,} images, {features['failures']:,} of which could not be read; "
        f"{features['descriptors']:,} descriptors; {words['words']:,} words, "
        f"of {words['smallest_word_size']:,} to {words['largest_word_size']:,} descriptors of "
        f"{words['training_descriptors']:,} trained on.\n\nThe tables lie in:"
    )
    for snapshot in snapshots.values():
        _print(f"  {snapshot.uri}")


def _sample(options: argparse.Namespace) -> None:
    from vision_assets.vision.samples import write_sample_images  # noqa: PLC0415 - OpenCV only when needed

    try:
        made = write_sample_images(
            options.folder, seed=options.seed, images_per_class=options.images_per_class
        )
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    _print(f"{options.folder}: {f'{made} sample images made' if made else 'the sample images are there'}")


def _store() -> SnapshotStore:
    return SnapshotStore(open_files(settings.data_folder(), _start_spark))


def _start_spark() -> "SparkSession":
    from vision_assets.spark.session import start_session  # noqa: PLC0415 - Spark only when needed

    return start_session()


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
