"""What is known of snapshots after they were pruned, however a clean-up ends."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.snapshots.files import Files
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.snapshots.layout import path_of
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.manifests import Manifests
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.spark.jvm import hadoop_of

FEATURES = ("sift_features",)
WORDS = ("kmeans_dictionary",)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(LocalFiles(tmp_path))


def make(store: SnapshotStore, asset: tuple[str, ...] = FEATURES, files: int = 1, **inputs: str) -> Snapshot:
    pending = store.begin(asset, "run", inputs)
    for number in range(files):
        store._files.create(path_of(asset, pending.name, f"part-{number:05}.parquet"), b"rows")
    return store.commit(
        pending,
        run_id="run",
        code_version="1",
        config={"k": 3, "names": ["é", None]},
        counts={"images": 4, "share": 0.1},
        check_results={"unique_keys": True},
        keys="4:17",
        rows=4,
        seconds=1.5,
    )


def archive(store: SnapshotStore, asset: tuple[str, ...] = FEATURES) -> list[str]:
    """Names of all files in the folder of the manifests of pruned snapshots."""
    return store._files.names(path_of(asset, "_history"))


def without_sizes(snapshots: list[Snapshot]) -> list[Snapshot]:
    return [replace(snapshot, sizes={}) for snapshot in snapshots]


class Killed(BaseException):
    """Ends a clean-up where a signal would, which no handler of errors sees."""


def kill(
    monkeypatch: pytest.MonkeyPatch, method: str, when: Callable[[str], bool], owner: type = Manifests
) -> None:
    """Have a method of the manifests kill the process at an asset's manifest, instead of its work."""
    original = getattr(owner, method)

    def killed(self: Any, *arguments: Any) -> Any:
        if any(isinstance(each, str) and when(each) for each in arguments):
            monkeypatch.setattr(owner, method, original)
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(owner, method, killed)


@pytest.mark.parametrize("system", ["local", "hadoop"])
def test_everything_but_the_sizes_of_files_is_known_after_pruning(
    system: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    files: Files = LocalFiles(tmp_path)
    if system == "hadoop":
        spark: SparkSession = request.getfixturevalue("spark")
        files = HadoopFiles(tmp_path.as_uri(), lambda: hadoop_of(spark))
    store = SnapshotStore(files)
    made = [make(store) for _ in range(5)]
    assert store.history().snapshots(FEATURES) == made
    assert len(store.prune(FEATURES, 2)) == 3
    assert store.history().snapshots(FEATURES) == [*without_sizes(made[:3]), *made[3:]]
    assert [Path(snapshot.uri.removeprefix("file:")).exists() for snapshot in made] == [False] * 3 + [
        True
    ] * 2
    assert store.snapshots(FEATURES) == made[3:], "what is pruned is not stored"
    assert store.assets() == [FEATURES]


def test_a_manifest_of_many_files_is_kept_small(store: SnapshotStore, tmp_path: Path) -> None:
    first = make(store, files=60)
    make(store)
    store.prune(FEATURES, 1)
    (kept,) = (tmp_path / "sift_features" / "_history").iterdir()
    assert kept.name == first.manifest
    assert kept.stat().st_size < 2000


def test_nothing_is_kept_as_long_as_nothing_is_pruned(store: SnapshotStore, tmp_path: Path) -> None:
    for _ in range(3):
        make(store)
        store.prune(FEATURES, 3)
    assert not (tmp_path / "sift_features" / "_history").exists()


def test_a_process_that_dies_before_the_copy_loses_nothing(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make(store) for _ in range(2)]
    kill(monkeypatch, "archive", lambda name: name == made[0].manifest)
    with pytest.raises(Killed):
        store.prune(FEATURES, 1)
    assert store.history().snapshots(FEATURES) == store.snapshots(FEATURES) == made
    assert archive(store) == []
    assert store.prune(FEATURES, 1) == [made[0].name]
    assert store.history().snapshots(FEATURES) == [*without_sizes(made[:1]), made[1]]


def test_a_process_that_dies_between_copy_and_removal_leaves_one_snapshot_not_two(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make(store) for _ in range(2)]
    kill(monkeypatch, "delete", lambda name: name == made[0].manifest)
    with pytest.raises(Killed):
        store.prune(FEATURES, 1)
    assert archive(store) == [made[0].manifest]
    assert store.history().snapshots(FEATURES) == store.snapshots(FEATURES) == made
    assert store.prune(FEATURES, 1) == [made[0].name]
    assert store.history().snapshots(FEATURES) == [*without_sizes(made[:1]), made[1]]


def test_a_process_that_dies_after_the_removal_leaves_the_copy(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make(store) for _ in range(2)]
    kill(monkeypatch, "delete", lambda path: path.endswith(f"/{made[0].name}"), LocalFiles)
    with pytest.raises(Killed):
        store.prune(FEATURES, 1)
    assert Path(made[0].uri).exists()
    assert store.history().snapshots(FEATURES) == [*without_sizes(made[:1]), made[1]]


def test_half_a_copy_of_a_dead_process_is_removed_and_that_of_another_kept(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = [make(store) for _ in range(3)]
    store.prune(FEATURES, 2)
    folder = tmp_path / "sift_features" / "_history"
    for snapshot in made[::2]:
        (folder / f".{snapshot.manifest}.0123").write_bytes(b"{")
    make(store)
    store.prune(FEATURES, 2)
    assert archive(store) == [f".{made[2].manifest}.0123", made[0].manifest, made[1].manifest]


def test_a_storage_that_does_not_overwrite(store: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs may remove the same snapshot at once, or one continues what another began."""
    create = LocalFiles.create

    def create_once(files: LocalFiles, path: str, content: bytes) -> None:
        if Path(files.uri(path)).exists():
            raise OSError(f"cannot create {path}")
        create(files, path, content)

    monkeypatch.setattr(LocalFiles, "create", create_once)
    made = [make(store) for _ in range(2)]
    kill(monkeypatch, "delete", lambda name: name == made[0].manifest)
    with pytest.raises(Killed):
        store.prune(FEATURES, 1)
    assert store.prune(FEATURES, 1) == [made[0].name]
    assert store.history().snapshots(FEATURES) == [*without_sizes(made[:1]), made[1]]


def test_a_copy_that_cannot_be_written_keeps_the_snapshot(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = [make(store) for _ in range(2)]
    create = LocalFiles.create

    def refuse(files: LocalFiles, path: str, content: bytes) -> None:
        if "/_history/" in path:
            raise OSError("no space left on device")
        create(files, path, content)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFiles, "create", refuse)
        with pytest.raises(OSError, match="no space left"):
            store.prune(FEATURES, 1)
    assert store.snapshots(FEATURES) == made
    assert not list((tmp_path / "sift_features" / "_snapshots").glob("*.pending"))
    assert store.prune(FEATURES, 1) == [made[0].name]


def test_runs_that_prune_at_once_forget_nothing(store: SnapshotStore) -> None:
    def run(_: int) -> list[Snapshot]:
        made = []
        for _ in range(10):
            made.append(make(store))
            store.prune(FEATURES, 1)
        return made

    with ThreadPoolExecutor(3) as pool:
        made = [snapshot for snapshots in pool.map(run, range(3)) for snapshot in snapshots]
    known = store.history().snapshots(FEATURES)
    assert {each.name for each in known} == {each.name for each in made}
    assert [each.manifest for each in known] == sorted(each.manifest for each in made)


def test_a_snapshot_that_is_pruned_while_it_is_looked_up_is_found(store: SnapshotStore) -> None:
    made = [make(store) for _ in range(3)]
    history = store.history()
    assert history.find(FEATURES, made[2].name) == made[2]
    store.prune(FEATURES, 1)
    assert history.snapshots(FEATURES) == [*without_sizes(made[:2]), made[2]]


def test_earlier_ones_come_newest_first(store: SnapshotStore) -> None:
    made = [make(store) for _ in range(4)]
    store.prune(FEATURES, 2)
    earlier = store.history().earlier(made[2])
    assert [each.name for each in earlier] == [made[1].name, made[0].name]
    assert list(store.history().earlier(made[0])) == []


def test_lineage_goes_on_through_what_was_pruned(store: SnapshotStore) -> None:
    images = make(store, ("image_seqfile",))
    features = make(store, image_seqfile=images.name)
    words = make(store, WORDS, sift_features=features.name)
    encodings = make(store, ("bow_encodings",), sift_features=features.name, kmeans_dictionary=words.name)
    for asset in (("bow_encodings",), WORDS, FEATURES, ("image_seqfile",)):
        make(store, asset)
        store.prune(asset, 1)
    assert store.lineage(encodings) == {}
    expected = {each.asset: replace(each, sizes={}) for each in (images, features, words)}
    assert store.history().lineage(encodings) == expected


def test_what_nothing_is_known_of_is_none(store: SnapshotStore) -> None:
    encodings = make(store, ("bow_encodings",), kmeans_dictionary="20200101T000000-gone-1")
    history = store.history()
    assert history.lineage(encodings) == {"kmeans_dictionary": None}
    assert history.find(WORDS, "../x") is history.find(("nothing",), "x") is None
    assert history.snapshots(WORDS) == []


def test_the_nearer_of_two_snapshots_of_an_asset_is_in_the_lineage(store: SnapshotStore) -> None:
    old, new = make(store), make(store)
    words = make(store, WORDS, sift_features=old.name)
    encodings = make(store, ("bow_encodings",), kmeans_dictionary=words.name, sift_features=new.name)
    assert store.history().lineage(encodings) == {"kmeans_dictionary": words, "sift_features": new}
    assert store.lineage(encodings) == {"kmeans_dictionary": words, "sift_features": new}


@pytest.mark.parametrize("damage", [b"", b"{", {"rows": 5}, {"asset": "../x"}])
def test_a_damaged_copy_is_named(
    store: SnapshotStore, tmp_path: Path, damage: bytes | dict[str, Any]
) -> None:
    made = [make(store) for _ in range(2)]
    store.prune(FEATURES, 1)
    (kept,) = (tmp_path / "sift_features" / "_history").iterdir()
    if isinstance(damage, dict):
        damage = json.dumps(json.loads(kept.read_text()) | damage).encode()
    kept.write_bytes(damage)
    with pytest.raises(UserError, match="Remove it to leave this run out of comparisons") as error:
        store.history().snapshots(FEATURES)
    assert str(kept) in str(error.value)
    assert store.current(FEATURES) == made[1]
    kept.unlink()
    assert store.history().snapshots(FEATURES) == made[1:]
