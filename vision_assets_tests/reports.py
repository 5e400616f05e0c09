"""Manifests of pipelines that never ran, for tests of what is made of manifests alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_assets.snapshots.store import Snapshot, SnapshotStore

REPORT = "classification_report"
COUNTS = {"classes": 10, "splits": 3, "test_images": 120, "accuracy": 0.9, "mean_per_class_accuracy": 0.8}


def make(store: SnapshotStore, asset: str, *inputs: Snapshot, **described: Any) -> Snapshot:
    """Commit a snapshot of a table without rows."""
    run_id = described.pop("run_id", "0123456789abcdef")
    pending = store.begin((asset,), run_id, {each.asset: each.name for each in inputs})
    Path(pending.uri).mkdir(parents=True)
    unknown = {"counts": {}, "check_results": {}, "keys": "", "rows": 0, "config": {}, "seconds": 1.0}
    return store.commit(pending, run_id=run_id, code_version="1", **unknown | described)


def make_report(
    store: SnapshotStore,
    extractor: str = "sift",
    counts: Mapping[str, float] | None = None,
    images: str = "240:1",
    labels: str = "30:5",
    run_id: str = "0123456789abcdef",
    seconds: tuple[float, float] = (3.0, 4.0),
    labels_version: str = "",
    **config: Mapping[str, Any],
) -> Snapshot:
    """Commit all snapshots of a pipeline.

    Parameters
    ----------
    store : SnapshotStore
    extractor : str
    counts : mapping, optional
        Counts of the report besides `COUNTS`.
    images, labels : str
        Fingerprints of the images, and of the classes and splits.
    run_id : str
    seconds : (float, float)
        Time of the dictionary and of the classifier.
    labels_version : str
        Version of the labels of the images.
    **config
        Asset, named as with SIFT, to its configuration.

    Returns
    -------
    Snapshot
        That of the report.
    """
    prefix = "" if extractor == "sift" else f"{extractor}_"

    def commit(name: str, *inputs: Snapshot, asset: str = "", **described: Any) -> Snapshot:
        settings = dict(config.get(name, {}))
        return make(store, asset or prefix + name, *inputs, config=settings, run_id=run_id, **described)

    pictures = commit("image_seqfile", asset="image_seqfile", rows=240, images=images)
    named = commit("image_labels", pictures, asset="image_labels", rows=240, version=labels_version)
    features = commit("features", pictures, asset=f"{extractor}_features", rows=240)
    words = commit("kmeans_dictionary", features, seconds=seconds[0])
    encodings = commit("bow_encodings", features, words)
    model = commit("image_classifier", encodings, named, features, seconds=seconds[1], keys=labels)
    made_from = (model, pictures, encodings, named, features)
    return commit(REPORT, *made_from, keys=labels, counts=COUNTS | dict(counts or {}))


def prune_all(store: SnapshotStore, keep: int = 1) -> None:
    """Prune all assets until nothing more goes: what an old table was made from goes after it."""
    while any(store.prune(asset, keep) for asset in store.assets()):
        pass
