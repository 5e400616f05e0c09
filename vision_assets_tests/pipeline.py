"""The asset graph on a data folder of its own, for tests."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from vision_assets.collection import open_collection
from vision_assets.definitions import make_definitions
from vision_assets.defs.resources import make_resources
from vision_assets.pipelines import ALL_EXTRACTORS, select_pipelines
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, classifier_from_npz

defs = make_definitions(select_pipelines([ALL_EXTRACTORS]), open_collection())
"""The assets of all extractors, whatever the environment names."""
WORDS = 20
ITERATIONS = 4
SPLITS = 2
UP_TO_ENCODINGS = ("image_seqfile", "sift_features", "kmeans_dictionary", "bow_encodings")
CLASSIFICATION = ("image_labels", "image_classifier", "image_predictions", "classification_report")
ALL_ASSETS = (*UP_TO_ENCODINGS, *CLASSIFICATION)


class AnyRunner:
    """All assets on some data folder.

    Attributes
    ----------
    uri : str
        The data folder.
    store : SnapshotStore
    """

    uri: str
    store: SnapshotStore

    def run(
        self,
        source: Path | str | None,
        *assets: str,
        keep: int = 3,
        fail: bool = False,
        pictures: bool = False,
        instance: dg.DagsterInstance | None = None,
        **config: Any,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets, those up to the encodings by default; the run must end as `fail` says."""
        if source is not None:
            # Tests move their sources.
            images = {"source": str(source), "replace_source": True}
            config["image_seqfile"] = images | config.get("image_seqfile", {})
        config["kmeans_dictionary"] = {"k": WORDS, "max_iter": ITERATIONS} | config.get(
            "kmeans_dictionary", {}
        )
        config["image_classifier"] = {"splits": SPLITS} | config.get("image_classifier", {})
        chosen = dg.AssetSelection.assets(*(assets or UP_TO_ENCODINGS))
        wanted = {key.to_user_string() for key in chosen.resolve(defs.resolve_asset_graph())}
        result = dg.materialize(
            [*(defs.assets or []), *(defs.asset_checks or [])],  # type: ignore[list-item]
            selection=chosen,
            instance=instance or _instance(),
            resources=make_resources(self.uri, keep, pictures),
            run_config={
                "ops": {name: {"config": config[name]} for name in config if name in wanted},
                "loggers": {"console": {"config": {"log_level": "INFO"}}},
            },
            raise_on_error=False,
        )
        assert result.success is not fail, (
            self.error(result) if not result.success else "the run did not fail"
        )
        return result

    @staticmethod
    def error(result: dg.ExecuteInProcessResult) -> str:
        """Return what the user interface shows of the first step that failed."""
        for event in result.all_events:
            if event.is_step_failure:
                data = event.step_failure_data
                if data.user_failure_data and data.user_failure_data.description:
                    return data.user_failure_data.description
                return str(data.error_display_string)
        return ""

    @staticmethod
    def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
        (event,) = result.asset_materializations_for_node(asset)
        return {
            name: [record.data for record in value.records]
            if isinstance(value, dg.TableMetadataValue)
            else value.value
            for name, value in event.metadata.items()
        }

    def table(self, asset: str) -> pd.DataFrame:
        """Return what is stored, sorted by its key: of images their digests, of a classifier its numbers."""
        if asset == "image_seqfile":
            return sorted_by_key(self.digests())
        if asset == "image_classifier":
            classifier = classifier_from_npz(self.store.read(self.current(asset), CLASSIFIER_FILE))
            numbers = np.dstack([classifier.weights, classifier.intercepts])
            return pd.DataFrame(numbers.reshape(-1, numbers.shape[-1]))
        return sorted_by_key(self.rows(asset))

    def digests(self) -> pd.DataFrame:
        """Return name and digest of each stored image."""
        raise NotImplementedError

    def rows(self, asset: str) -> pd.DataFrame:
        """Return a stored table."""
        raise NotImplementedError

    def current(self, asset: str) -> Snapshot:
        return self.store.require_current((asset,))


@cache
def _instance() -> dg.DagsterInstance:
    """Return one for all runs whose history is not read: to make one takes half a second."""
    return dg.DagsterInstance.ephemeral()


@dataclass(frozen=True)
class Runner(AnyRunner):
    """All assets on a local data folder."""

    data: Path

    @property
    def uri(self) -> str:  # type: ignore[override]
        return str(self.data)

    @property
    def store(self) -> SnapshotStore:  # type: ignore[override]
        return SnapshotStore(LocalFiles(self.data))

    def digests(self) -> pd.DataFrame:
        index = Path(self.current("image_seqfile").uri, "_index")
        return pd.read_parquet(index, columns=["fileName", "digest"])

    def rows(self, asset: str) -> pd.DataFrame:
        return pd.read_parquet(self.current(asset).uri)


def read_table(folder: Path) -> pd.DataFrame:
    """Read a stored table sorted by its key."""
    return sorted_by_key(pd.read_parquet(folder))


def sorted_by_key(table: pd.DataFrame) -> pd.DataFrame:
    key: Any = table.columns[0]
    if "split" in table and table["split"].dtype.kind == "i":
        key = [name for name in ("split", "fileName", "label") if name in table][:2]
    return table.sort_values(key).reset_index(drop=True)


def require_same_tables(made: AnyRunner, expected: AnyRunner, *assets: str) -> None:
    """Compare what is stored, up to the encodings by default, to the bit."""
    for asset in assets or UP_TO_ENCODINGS:
        pd.testing.assert_frame_equal(made.table(asset), expected.table(asset), check_exact=True)
