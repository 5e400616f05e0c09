import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vision_assets.errors import UserError
from vision_assets.snapshots.liveness import SILENCE_LIMIT
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import PendingSnapshot, ReadLease, Snapshot, SnapshotStore
from vision_assets_tests.small_disks import require_root, resize, small_disk

FEATURES = ("sift_features",)
WORDS = ("kmeans_dictionary",)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(LocalFiles(tmp_path))


def write(pending: PendingSnapshot, content: bytes = b"rows") -> None:
    Path(pending.uri).mkdir()
    (Path(pending.uri) / "part-0.parquet").write_bytes(content)


def commit(store: SnapshotStore, pending: PendingSnapshot, **changed: Any) -> Snapshot:
    described: dict[str, Any] = {
        "run_id": "run",
        "code_version": "1",
        "config": {"k": 3},
        "counts": {"images": 4},
        "check_results": {"unique_keys": True},
        "keys": "4:17",
        "rows": 4,
        "seconds": 1.5,
    }
    return store.commit(pending, **described | changed)


def make(store: SnapshotStore, asset: tuple[str, ...] = FEATURES, **inputs: str) -> Snapshot:
    pending = store.begin(asset, "run", inputs)
    write(pending)
    return commit(store, pending)


def test_nothing_is_current_before_the_first_commit(store: SnapshotStore) -> None:
    assert store.current(FEATURES) is None
    pending = store.begin(FEATURES, "run", {})
    write(pending)
    assert store.current(FEATURES) is None
    with pytest.raises(UserError, match="Materialize sift_features first"):
        store.require_current(FEATURES)


def test_a_commit_makes_it_current_with_all_that_made_it(store: SnapshotStore) -> None:
    pending = store.begin(FEATURES, "run", {"image_seqfile": "x"})
    write(pending, b"12345")
    made = commit(store, pending)
    assert store.current(FEATURES) == made
    assert (made.files, made.bytes, made.rows, made.sequence) == (1, 5, 4, 1)
    assert (made.inputs, made.config, made.run_id) == ({"image_seqfile": "x"}, {"k": 3}, "run")
    assert Path(made.uri, "part-0.parquet").read_bytes() == b"12345"
    assert datetime.fromisoformat(made.committed_at) <= datetime.now(UTC)


def test_the_newest_commit_is_current_whoever_began_first(store: SnapshotStore) -> None:
    first, second = store.begin(FEATURES, "a", {}), store.begin(FEATURES, "b", {})
    write(first)
    write(second)
    commit(store, second, run_id="b")
    assert commit(store, first, run_id="a") == store.current(FEATURES)
    assert [snapshot.run_id for snapshot in store.snapshots(FEATURES)] == ["b", "a"]
    assert store.of_run(FEATURES, "b") == store.snapshots(FEATURES)[0]
    assert store.of_run(FEATURES, "c") is None


def test_commits_with_the_same_number_are_both_kept(store: SnapshotStore, tmp_path: Path) -> None:
    """Two runs may count the same manifests before either adds its own."""
    stale = SnapshotStore(LocalFiles(tmp_path))
    stale.current = lambda asset: None  # type: ignore[method-assign]
    first, second = store.begin(FEATURES, "a", {}), stale.begin(FEATURES, "b", {})
    write(first)
    write(second)
    commit(store, first)
    commit(stale, second)
    snapshots = store.snapshots(FEATURES)
    assert {snapshot.sequence for snapshot in snapshots} == {1}
    assert store.current(FEATURES) == snapshots[-1]
    assert make(store).sequence == 2


def test_a_discarded_snapshot_leaves_nothing(store: SnapshotStore, tmp_path: Path) -> None:
    made = make(store)
    pending = store.begin(FEATURES, "run", {})
    write(pending)
    store.discard(pending)
    assert store.current(FEATURES) == made
    assert {path.name for path in (tmp_path / "sift_features").iterdir()} == {"_snapshots", made.name}
    assert len(list((tmp_path / "sift_features" / "_snapshots").iterdir())) == 1


def test_pruning_keeps_the_newest(store: SnapshotStore) -> None:
    made = [make(store) for _ in range(5)]
    removed = store.prune(FEATURES, 2)
    assert removed == [snapshot.name for snapshot in made[:3]]
    assert store.snapshots(FEATURES) == made[3:]
    assert [Path(snapshot.uri).exists() for snapshot in made] == [False] * 3 + [True] * 2


def test_pruning_always_keeps_the_current_one(store: SnapshotStore) -> None:
    made = make(store)
    assert store.prune(FEATURES, 0) == []
    assert store.current(FEATURES) == made


def test_pruning_keeps_what_the_current_graph_names(store: SnapshotStore) -> None:
    features = make(store)
    words = make(store, WORDS, sift_features=features.name)
    make(store, ("bow_encodings",), kmeans_dictionary=words.name)
    for _ in range(3):
        make(store)
        make(store, WORDS)
    store.prune(FEATURES, 1)
    store.prune(WORDS, 1)
    assert store.snapshots(WORDS)[0] == words, "the encodings were made with it"
    assert store.snapshots(FEATURES)[0] == features, "the words of the encodings were made from it"
    assert len(store.snapshots(FEATURES)) == len(store.snapshots(WORDS)) == 2


def test_pruning_keeps_what_is_being_read(store: SnapshotStore) -> None:
    features = make(store)
    pending = store.begin(WORDS, "run", {"sift_features": features.name})
    for _ in range(3):
        make(store)
    store.prune(FEATURES, 1)
    assert features in store.snapshots(FEATURES)
    store.discard(pending)
    store.prune(FEATURES, 1)
    assert features not in store.snapshots(FEATURES)


def die(store: SnapshotStore, lease: PendingSnapshot | ReadLease) -> None:
    """Make it look as if the process that took this lease had been killed."""
    file = Path(store._files.uri("/".join((*lease.asset, "_snapshots", f"{lease.name}.pending"))))
    content = json.loads(file.read_text())
    content["process"]["started"] += 1
    file.write_text(json.dumps(content))


def test_pruning_removes_the_leftovers_of_a_dead_run(store: SnapshotStore, tmp_path: Path) -> None:
    make(store)
    alive, dead = store.begin(FEATURES, "alive", {}), store.begin(FEATURES, "dead", {})
    for pending in (alive, dead):
        write(pending)
    die(store, dead)
    store.prune(FEATURES, 3)
    assert Path(alive.uri).exists()
    assert not Path(dead.uri).exists()
    files = {path.name for path in (tmp_path / "sift_features" / "_snapshots").iterdir()}
    assert not [name for name in files if name.startswith(dead.name)]
    assert {f"{alive.name}.pending", f"{alive.name}.beat"} < files


def test_pruning_removes_what_a_run_wrote_after_its_leftovers_were_removed(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = make(store)
    for name in ("20200101T000000-dead-1234", f"{made.name}.uploaded"):
        (tmp_path / "sift_features" / name).mkdir()
    (tmp_path / "sift_features" / "_snapshots" / "20200101T000000-dead-1234.beat").touch()
    store.prune(FEATURES, 3)
    assert {path.name for path in (tmp_path / "sift_features").iterdir()} == {
        "_snapshots",
        made.name,
        f"{made.name}.uploaded",
    }
    assert len(list((tmp_path / "sift_features" / "_snapshots").iterdir())) == 1


def test_leftovers_are_those_of_dead_or_failed_runs_with_the_same_row_version(store: SnapshotStore) -> None:
    alive = store.begin(FEATURES, "alive", {}, "v1")
    dead, other = store.begin(FEATURES, "dead", {}, "v1"), store.begin(FEATURES, "other", {}, "v2")
    failed = store.begin(FEATURES, "failed", {}, "v1")
    for pending in (alive, dead, other, failed):
        write(pending)
    assert store.lease_leftovers(FEATURES, "v1", "next") == []
    die(store, dead)
    die(store, other)
    store.abandon(failed)
    assert {leftover.name for leftover, _ in store.lease_leftovers(FEATURES, "v1", "next")} == {
        dead.name,
        failed.name,
    }
    assert [leftover.name for leftover, _ in store.lease_leftovers(FEATURES, "v2", "next")] == [other.name]


def test_a_leftover_stays_while_one_of_two_runs_reads_it(store: SnapshotStore) -> None:
    dead = store.begin(FEATURES, "dead", {}, "v1")
    write(dead)
    die(store, dead)
    ((leftover, lease),) = store.lease_leftovers(FEATURES, "v1", "one")
    ((same, other_lease),) = store.lease_leftovers(FEATURES, "v1", "other")
    assert leftover.name == same.name == dead.name

    store.discard(lease)
    store.discard_leftover(leftover)
    store.prune(FEATURES, 1)
    assert Path(dead.uri, "part-0.parquet").read_bytes() == b"rows"

    store.discard(other_lease)
    store.discard_leftover(same)
    assert not Path(dead.uri).exists()
    assert store.lease_leftovers(FEATURES, "v1", "late") == []


def test_an_unfinished_removal_is_finished_by_the_next_run(store: SnapshotStore, tmp_path: Path) -> None:
    make(store)
    dead = store.begin(FEATURES, "dead", {})
    write(dead)
    Path(dead.uri).rename(f"{dead.uri}.0123")
    die(store, dead)
    store.prune(FEATURES, 1)
    assert not [path for path in (tmp_path / "sift_features").rglob("*") if dead.name in path.name]


def test_a_snapshot_can_be_read_in_a_block_while_newer_ones_replace_it(store: SnapshotStore) -> None:
    older = make(store)
    with store.reading(FEATURES) as snapshot:
        make(store)
        store.prune(FEATURES, 1)
        assert Path(snapshot.uri, "part-0.parquet").read_bytes() == b"rows"
    assert snapshot == older
    store.prune(FEATURES, 1)
    assert not store.has(older)
    assert not Path(older.uri).exists()


def test_leases_of_dead_readers_go_when_the_next_reader_comes(store: SnapshotStore, tmp_path: Path) -> None:
    make(store)
    records = tmp_path / "sift_features" / "_snapshots"
    leased = [store.lease(lambda: store.current(FEATURES), f"reader{number}") for number in range(2)]
    assert leased[0]
    assert leased[1]
    die(store, leased[0][1])
    third = store.lease(lambda: store.current(FEATURES), "reader3")
    assert third
    assert {path.stem for path in records.glob("*.pending")} == {leased[1][1].name, third[1].name}
    assert {path.stem for path in records.glob("*.beat")} == {leased[1][1].name, third[1].name}


def test_the_heartbeat_of_a_run_that_died_at_the_end_of_its_commit_is_removed(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = make(store)
    heartbeat = tmp_path / "sift_features" / "_snapshots" / f"{made.name}.beat"
    heartbeat.touch()
    store.prune(FEATURES, 3)
    assert not heartbeat.exists()
    assert Path(made.uri).exists()


def test_files_cut_by_a_loss_of_power_are_not_parts(store: SnapshotStore) -> None:
    pending = store.begin(FEATURES, "run", {})
    folder = Path(pending.uri)
    folder.mkdir()
    for name, content in {
        "a.parquet": b"PAR1....PAR1",
        "b.parquet": b"PAR1....",
        "c.parquet": b"",
        "part-r-00001": b"SEQ",
        "_index": b"",
    }.items():
        (folder / name).write_bytes(content)
    assert store.parts(pending) == {"a.parquet": 12, "part-r-00001": 3}


def test_what_a_manifest_names_is_on_the_disk_before_it(
    store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    made = make(store)
    folder = Path(made.uri)
    manifests = folder.parent / "_snapshots"
    places = [folder / "part-0.parquet", folder, folder.parent, manifests / made.manifest, manifests]
    # What was synced last counts: some folders are so more than once.
    order = [len(synced) - synced[::-1].index(path.stat().st_ino) for path in places]
    assert order == sorted(order)


def test_reused_files_take_no_room(store: SnapshotStore) -> None:
    made = make(store)
    pending = store.begin(FEATURES, "run", {})
    store.take_over(made, {"part-0.parquet": "part-7.parquet"}, pending)
    taken = Path(pending.uri, "part-7.parquet")
    assert taken.samefile(Path(made.uri, "part-0.parquet"))
    commit(store, pending)
    store.prune(FEATURES, 1)
    assert not Path(made.uri).exists()
    assert taken.read_bytes() == b"rows"


def test_a_run_that_was_taken_for_dead_does_not_commit(store: SnapshotStore) -> None:
    older = make(store)
    pending = store.begin(FEATURES, "stopped for an hour", {})
    write(pending)
    die(store, pending)
    store.prune(FEATURES, 3)
    write(pending)
    with pytest.raises(UserError, match="no sign of life"):
        commit(store, pending)
    assert store.current(FEATURES) == older


def test_checkpoints_go_with_the_next_commit(store: SnapshotStore, tmp_path: Path) -> None:
    checkpoint, another = store.checkpoint(WORDS, "k"), store.checkpoint(WORDS, "another")
    assert checkpoint.newest() is None
    for step in range(3):
        checkpoint.save(step, str(step).encode())
    another.save(7, b"x")
    checkpoint.save(1, b"a slower run at the same")
    assert checkpoint.newest() == b"2"
    assert store.assets() == []
    make(store, WORDS)
    store.prune(WORDS, 3)
    assert checkpoint.newest() is another.newest() is None
    assert not (tmp_path / "kmeans_dictionary" / "_checkpoints").exists()


def test_manifests_of_earlier_releases_are_read(store: SnapshotStore, tmp_path: Path) -> None:
    made = make(store)
    manifest = tmp_path / "sift_features" / "_snapshots" / f"0000000001-{made.name}.json"
    content = json.loads(manifest.read_text())
    for later in ("version", "row_version", "sizes", "checksum"):
        del content[later]
    manifest.write_text(json.dumps(content))
    assert store.current(FEATURES) == replace(made, sizes={})


def test_discarding_what_was_committed_after_all_keeps_it(store: SnapshotStore, tmp_path: Path) -> None:
    """The run may be interrupted between the manifest and the end of the commit."""
    pending = store.begin(FEATURES, "run", {})
    write(pending)
    made = commit(store, pending)
    store.discard(pending)
    assert store.current(FEATURES) == made
    assert Path(made.uri, "part-0.parquet").exists()


def test_the_lease_of_a_run_that_died_after_its_commit_does_no_harm(
    store: SnapshotStore, tmp_path: Path
) -> None:
    pending = store.begin(FEATURES, "run", {})
    write(pending)
    die(store, pending)
    lease_file = tmp_path / "sift_features" / "_snapshots" / f"{pending.name}.pending"
    content = lease_file.read_text()
    made = commit(store, pending)
    lease_file.write_text(content)
    store.prune(FEATURES, 3)
    assert store.current(FEATURES) == made
    assert Path(made.uri).exists()
    assert not lease_file.exists()


def test_a_snapshot_that_is_read_is_kept(store: SnapshotStore) -> None:
    features = make(store)
    leased = store.lease(lambda: store.current(FEATURES), "reader")
    assert leased
    assert leased[0] == features
    for _ in range(3):
        make(store)
    store.prune(FEATURES, 1)
    assert features in store.snapshots(FEATURES)
    store.discard(leased[1])
    store.prune(FEATURES, 1)
    assert features not in store.snapshots(FEATURES)


def test_another_snapshot_is_chosen_if_the_first_is_removed_meanwhile(store: SnapshotStore) -> None:
    older, newer = make(store), make(store)
    choices = iter([older, newer])

    def choose() -> Snapshot:
        chosen = next(choices)
        if chosen is older:
            store.prune(FEATURES, 1)
        return chosen

    leased = store.lease(choose, "reader")
    assert leased
    assert leased[0] == newer


def test_a_snapshot_stays_if_a_run_begins_to_read_it_during_its_removal(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = make(store)
    make(store)
    delete = LocalFiles.delete

    def read_first(files: LocalFiles, path: str) -> None:
        if path.endswith(f"{older.name}.json"):
            store.begin(WORDS, "reader", {"sift_features": older.name})
        delete(files, path)

    monkeypatch.setattr(LocalFiles, "delete", read_first)
    assert store.prune(FEATURES, 1) == []
    assert store.snapshots(FEATURES)[0] == older
    assert Path(older.uri).exists()


def test_temporary_files_of_dead_runs_are_removed(store: SnapshotStore, tmp_path: Path) -> None:
    records = tmp_path / "sift_features" / "_snapshots"
    make(store)
    alive = store.begin(FEATURES, "alive", {})
    for name in (
        f".0000000002-{alive.name}.json.12",
        ".0000000002-20200101T000000-dead-1.json.12",
        ".beat.1",
    ):
        (records / name).touch()
    store.prune(FEATURES, 3)
    assert [path.name for path in records.glob(".*")] == [f".0000000002-{alive.name}.json.12"]


def test_many_runs_at_once_lose_nothing(store: SnapshotStore) -> None:
    def run(number: int) -> list[Snapshot]:
        made = []
        for _ in range(15):
            made.append(make(store))
            store.prune(FEATURES, 1)
        return made

    with ThreadPoolExecutor(3) as pool:
        made = [snapshot for snapshots in pool.map(run, range(3)) for snapshot in snapshots]
    current = store.require_current(FEATURES)
    assert current in made
    assert Path(current.uri, "part-0.parquet").exists()


def test_folders_without_permission_are_ignored(
    store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store)
    (tmp_path / "lost+found").mkdir()
    names = LocalFiles.names

    def refuse(files: LocalFiles, path: str) -> list[str]:
        if path == "lost+found":
            raise PermissionError(path)
        return names(files, path)

    monkeypatch.setattr(LocalFiles, "names", refuse)
    assert store.assets() == [FEATURES]


def test_assets_are_found_at_any_depth(store: SnapshotStore) -> None:
    make(store)
    make(store, ("surf", "dictionary"))
    make(store, ("collections", "flowers", "dictionary"))  # in a data folder of its own
    assert sorted(store.assets()) == [FEATURES, ("surf", "dictionary")]


def test_the_input_of_a_snapshot(store: SnapshotStore) -> None:
    features = make(store)
    make(store)
    words = make(store, WORDS, sift_features=features.name)
    assert store.input_of(words, FEATURES) == features
    assert store.input_of(words, ("image_seqfile",)) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"name": 1}'])
def test_a_damaged_manifest_is_named(store: SnapshotStore, tmp_path: Path, damage: bytes) -> None:
    older = make(store)
    newer = make(store)
    manifest = tmp_path / "sift_features" / "_snapshots" / f"0000000002-{newer.name}.json"
    manifest.write_bytes(damage)
    with pytest.raises(UserError, match="is damaged") as error:
        store.current(FEATURES)
    assert str(manifest) in str(error.value)
    manifest.unlink()
    assert store.current(FEATURES) == older


def test_damage_to_an_older_manifest_does_not_harm_what_is_newer(
    store: SnapshotStore, tmp_path: Path
) -> None:
    older, newer = make(store), make(store)
    words = make(store, WORDS, sift_features=newer.name)
    (tmp_path / "sift_features" / "_snapshots" / f"0000000001-{older.name}.json").write_bytes(b"{")
    assert store.current(FEATURES) == store.input_of(words, FEATURES) == newer
    assert store.of_run(FEATURES, "other") is None


@pytest.mark.parametrize("changed", [{"name": "../../x"}, {"asset": "../x"}, {"rows": 5}, {"sizes": None}])
def test_a_changed_manifest_is_damaged(store: SnapshotStore, tmp_path: Path, changed: dict[str, Any]) -> None:
    made = make(store)
    manifest = tmp_path / "sift_features" / "_snapshots" / f"0000000001-{made.name}.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changed))
    with pytest.raises(UserError, match="is damaged"):
        store.current(FEATURES)


def test_no_name_leads_pruning_out_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "of somebody else").touch()
    store = SnapshotStore(LocalFiles(tmp_path / "data"))
    made = make(store)
    records = tmp_path / "data" / "sift_features" / "_snapshots"
    manifest = next(records.glob("*.json"))
    content = json.loads(manifest.read_text())
    for name in ("0000000000-...json", "0000000000-.json", "0000000000-x...json", "...pending", ".pending"):
        (records / name).write_text(json.dumps(content | {"name": "../.."}))
    for name in ("...beat", ".beat"):
        (records / name).write_text("ended")
    store.prune(FEATURES, 1)
    assert (tmp_path / "of somebody else").exists()
    assert Path(made.uri, "part-0.parquet").exists()
    assert store.current(FEATURES) == made


DAMAGED_LEASES = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b"\xff\x00",
    b'{"inputs": {}, "rowVersion": "", "startedAt": "", "process": {}}',
]


@pytest.mark.parametrize("damage", DAMAGED_LEASES)
def test_heartbeats_decide_for_a_damaged_lease(store: SnapshotStore, tmp_path: Path, damage: bytes) -> None:
    made = make(store)
    records = tmp_path / "sift_features" / "_snapshots"
    alive, dead = store.begin(FEATURES, "alive", {}, "v1"), store.begin(FEATURES, "dead", {}, "v1")
    for pending in (alive, dead):
        write(pending)
        (records / f"{pending.name}.pending").write_bytes(damage)
    (records / f"{dead.name}.beat").write_text((datetime.now(UTC) - SILENCE_LIMIT).isoformat())
    assert store.lease_leftovers(FEATURES, "v1", "next") == []
    store.prune(FEATURES, 1)
    assert Path(alive.uri).exists()
    assert not Path(dead.uri).exists()
    assert not list(records.glob(f"{dead.name}*"))
    assert store.current(FEATURES) == made
    assert commit(store, alive) == store.current(FEATURES)


@pytest.mark.parametrize("heartbeat", [None, b"", b"\x00\xff", b"yesterday", b"2020-01-01"])
def test_a_process_without_a_readable_heartbeat_gets_time_for_another(
    store: SnapshotStore, tmp_path: Path, heartbeat: bytes | None
) -> None:
    records = tmp_path / "sift_features" / "_snapshots"
    pending = store.begin(FEATURES, "run", {})
    write(pending)
    (records / f"{pending.name}.pending").write_bytes(b"{")
    heartbeat_file = records / f"{pending.name}.beat"
    heartbeat_file.unlink() if heartbeat is None else heartbeat_file.write_bytes(heartbeat)
    store.prune(FEATURES, 1)
    assert Path(pending.uri).exists()
    given = datetime.fromisoformat(heartbeat_file.read_text())
    heartbeat_file.write_text((given - SILENCE_LIMIT).isoformat())
    store.prune(FEATURES, 1)
    assert not Path(pending.uri).exists()
    assert list(records.iterdir()) == []


def test_damage_that_shows_without_reading(store: SnapshotStore) -> None:
    made = make(store)
    part = Path(made.uri, "part-0.parquet")
    assert store.damage(made) is None
    part.write_bytes(b"row")
    assert f"{part} has 3 of 4 bytes. Materialize sift_features again with `" in str(store.damage(made))
    assert store.parts(made) == {}
    part.unlink()
    assert f"{part} is missing." in str(store.damage(made))


def test_a_run_that_fails_on_a_full_disk_leaves_its_rows(tmp_path: Path) -> None:
    require_root()
    with small_disk(tmp_path / "disk", 64):
        store = SnapshotStore(LocalFiles(tmp_path / "disk"))
        older, pending = make(store), store.begin(FEATURES, "run", {}, "v1")
        write(pending)
        with pytest.raises(OSError, match="No space left"):
            Path(pending.uri, "part-1").write_bytes(bytes(2**17))
        with pytest.raises(OSError, match=r"No space left on device: '.*/_snapshots/.*\.json'"):
            commit(store, pending)
        store.abandon(pending)
        assert store.current(FEATURES) == older
        with pytest.raises(UserError, match="Make room there"):
            store.begin(FEATURES, "another", {})
        resize(tmp_path / "disk", 256)
        ((leftover, lease),) = store.lease_leftovers(FEATURES, "v1", "next")
        assert (leftover.name, leftover.uri, leftover.row_version) == (
            pending.name,
            pending.uri,
            pending.row_version,
        )
        store.discard(lease)
        records = list((tmp_path / "disk" / "sift_features" / "_snapshots").iterdir())
        assert len(records) == 3, "a manifest, a lease and a heartbeat"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = SnapshotStore(LocalFiles(tmp_path / "file"))
    with pytest.raises(UserError, match="Set VISION_ASSETS_DATA"):
        store.begin(FEATURES, "run", {})
