"""When a table is kept, decided on manifests alone: no table is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import pytest

from vision_assets.errors import UserError
from vision_assets.snapshots import liveness
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.fit import require_one_descriptor_space, require_same_words
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.up_to_date import KeptTable, fingerprint_of, kept_table
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.features.surf import SurfOptions

FEATURES, WORDS, ENCODINGS, CLASSIFIER = (
    "sift_features",
    "kmeans_dictionary",
    "bow_encodings",
    "image_classifier",
)
OF_A_RUN = {"full_refresh", "retrain", "replace_source", "partitions", "reader"}
K_50: dict[str, Any] = {"k": 50, "seed": 0, "full_refresh": False, "retrain": "when_changed"}


@dataclass(frozen=True)
class Tables:
    """A data folder of manifests, each with one file that is no table."""

    store: SnapshotStore

    def make(
        self, asset: str, config: Mapping[str, Any], *inputs: StoredTable, version: str = "1"
    ) -> StoredTable:
        """Commit a snapshot as a run would, of any content."""
        names = {each.asset: each.snapshot.name for each in inputs}
        fingerprint = fingerprint_of(SPECS[asset], config, inputs)
        pending = self.store.begin((asset,), "run", names, fingerprint=fingerprint)
        Path(pending.uri).mkdir(parents=True)
        Path(pending.uri, "part-0.parquet").write_bytes(b"rows")
        snapshot = self.store.commit(
            pending,
            run_id="run",
            code_version="1",
            config=dict(config),
            counts={},
            check_results={},
            keys="",
            rows=1,
            seconds=1.0,
            version=version,
        )
        return self.table(snapshot)

    def table(self, snapshot: Snapshot) -> StoredTable:
        # Without a session, because no table is read.
        return StoredTable(None, self.store, snapshot)  # type: ignore[arg-type]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(SnapshotStore(LocalFiles(tmp_path)))


def kept(
    asset: str, config: Mapping[str, Any], *inputs: StoredTable, require_fit: Any = None
) -> KeptTable | None:
    spec = SPECS[asset]
    return kept_table(spec, config, inputs, fingerprint_of(spec, config, inputs), require_fit)


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_every_asset_can_be_made_again(spec: StepSpec) -> None:
    names = {each.name for options in spec.options for each in fields(options)}
    assert "full_refresh" in names
    assert spec.table_settings(dict.fromkeys(names)).keys() == names - OF_A_RUN


def test_there_is_nothing_to_keep_at_first(tables: Tables) -> None:
    features = tables.make(FEATURES, {})
    for retrain in ("always", "when_changed", "never"):
        assert kept(WORDS, K_50 | {"retrain": retrain}, features) is None


def test_it_is_kept_while_settings_and_the_content_of_the_inputs_are_the_same(tables: Tables) -> None:
    words = tables.make(WORDS, K_50, tables.make(FEATURES, {}))
    again = tables.make(FEATURES, {})
    assert again.snapshot.name != words.snapshot.inputs[FEATURES]
    found = kept(WORDS, K_50, again)
    assert found
    assert found.table == words
    assert re.fullmatch(
        r"kmeans_dictionary is up to date: settings and inputs are unchanged since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d UTC; `full_refresh: true` makes it again\.",
        found.reason,
    )
    assert kept(WORDS, K_50 | {"k": 51}, again) is None
    assert kept(WORDS, K_50, tables.make(FEATURES, {}, version="2")) is None


def test_what_concerns_the_run_alone_is_no_change(tables: Tables) -> None:
    images = tables.make("image_seqfile", {})
    features = tables.make(FEATURES, {"nfeatures": 100, "partitions": None, "max_failed_share": 0.1}, images)
    settings = features.snapshot.config
    assert kept(FEATURES, settings | {"partitions": 3}, images)
    assert not kept(FEATURES, settings | {"nfeatures": 99}, images)
    assert not kept(FEATURES, settings | {"max_failed_share": 0.2}, images), "the check reads the manifest"


def test_another_version_of_a_library_is_a_change(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    images = tables.make("image_seqfile", {})
    tables.make(FEATURES, {}, images)
    assert kept(FEATURES, {}, images)
    monkeypatch.setattr(cv2, "__version__", "0.1")
    assert not kept(FEATURES, {}, images)


@pytest.mark.parametrize("request_of_it", [{"full_refresh": True}, {"retrain": "always"}])
@pytest.mark.parametrize("retrain", ["when_changed", "never"])
def test_it_is_made_again_where_that_is_asked_for(
    tables: Tables, request_of_it: dict[str, Any], retrain: str
) -> None:
    features = tables.make(FEATURES, {})
    tables.make(WORDS, K_50, features)
    assert kept(WORDS, K_50 | {"retrain": retrain} | request_of_it, features) is None


def test_a_table_of_an_earlier_release_is_made_once(tables: Tables) -> None:
    """Its manifest has no fingerprint."""
    features = tables.make(FEATURES, {})
    pending = tables.store.begin((WORDS,), "run", {FEATURES: features.snapshot.name})
    Path(pending.uri).mkdir()
    described: dict[str, Any] = {"counts": {}, "check_results": {}, "keys": "", "rows": 1, "seconds": 1.0}
    old = tables.store.commit(pending, run_id="run", code_version="1", config=K_50, **described)
    assert kept(WORDS, K_50, features) is None
    found = kept(WORDS, K_50 | {"retrain": "never"}, features)
    assert found
    assert found.table.snapshot == old
    tables.make(WORDS, K_50, features)
    assert kept(WORDS, K_50, features)


def test_a_damaged_table_is_made_again_unless_it_must_be_kept(tables: Tables) -> None:
    features = tables.make(FEATURES, {})
    words = tables.make(WORDS, K_50, features)
    Path(words.snapshot.uri, "part-0.parquet").write_bytes(b"r")
    assert kept(WORDS, K_50, features) is None
    with pytest.raises(UserError, match=r"1 of 4 bytes\. Materialize kmeans_dictionary again with `full_ref"):
        kept(WORDS, K_50 | {"retrain": "never"}, features)


def test_never_keeps_what_is_stored_and_says_what_differs(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_days_ago = (datetime.now(UTC) - timedelta(days=3, hours=2)).isoformat(timespec="seconds")
    with monkeypatch.context() as earlier:
        earlier.setattr(liveness, "utc_now", lambda: three_days_ago)
        words = tables.make(WORDS, K_50 | {"retrain": "always"}, tables.make(FEATURES, {}))
    never = K_50 | {"retrain": "never"}
    other = tables.make(FEATURES, {}, version="2")
    found = kept(WORDS, never | {"k": 60}, other)
    assert found
    assert found.table == words
    assert found.reason.startswith(
        f"kmeans_dictionary is kept (`retrain: never`). It was made 3 days ago, on {three_days_ago[:10]} "
    )
    assert "UTC, from other sift_features, with k = 50, not 60. `full_refresh: true`" in found.reason
    found = kept(WORDS, never, other)
    assert found
    assert "from other sift_features. `full_refresh" in found.reason
    found = kept(WORDS, never, tables.make(FEATURES, {}))
    assert found
    assert "is up to date" in found.reason


def test_never_keeps_no_words_of_another_descriptor_space(tables: Tables) -> None:
    tables.make("surf_kmeans_dictionary", K_50, tables.make("surf_features", {"engine": "opencv"}))
    others = tables.make("surf_features", {"engine": "mahotas"}, version="2")

    def require_fit(words: StoredTable, inputs: Mapping[str, StoredTable]) -> None:
        require_one_descriptor_space(SurfOptions, inputs["surf_features"], words)

    def keep(*inputs: StoredTable) -> KeptTable | None:
        never = K_50 | {"retrain": "never"}
        return kept("surf_kmeans_dictionary", never, *inputs, require_fit=require_fit)

    with pytest.raises(UserError, match="SURF of opencv and SURF of mahotas descriptors are not comparable"):
        keep(others)
    assert keep(tables.make("surf_features", {"engine": "opencv"}, version="3"))


@pytest.mark.parametrize(
    ("settings", "version", "difference"),
    [
        ({"pooling": "max"}, "1", "pooling = 'sum', not 'max'"),
        ({"pooling": "sum"}, "2", "another kmeans_dictionary"),
        ({"pooling": "sum"}, "1", None),
    ],
)
def test_a_classifier_is_kept_for_the_words_and_the_pooling_that_it_was_trained_on(
    tables: Tables, settings: dict[str, Any], version: str, difference: str | None
) -> None:
    features, others = tables.make(FEATURES, {}), tables.make(FEATURES, {}, version="2")
    words = tables.make(WORDS, K_50, features)
    trained_on = tables.make(ENCODINGS, {"pooling": "sum"}, features, words)
    tables.make(CLASSIFIER, {"seed": 1}, trained_on)
    of_these = tables.make(WORDS, K_50, others, version=version)
    encodings = tables.make(ENCODINGS, settings, others, of_these, version="2")

    def require_fit(model: StoredTable, inputs: Mapping[str, StoredTable]) -> None:
        require_same_words(BagOfWords, WORDS, inputs[ENCODINGS], model)

    def keep() -> KeptTable | None:
        return kept(CLASSIFIER, {"seed": 2, "retrain": "never"}, encodings, require_fit=require_fit)

    if difference:
        with pytest.raises(UserError, match=f"its weights do not fit .*: .* with {difference}") as error:
            keep()
        assert len(str(error.value).splitlines()) == 1
    else:
        assert keep()
