"""What the automation condition requests, tick by tick."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from vision_assets.defs.automation import follow_upstream
from vision_assets.pipelines import PIPELINE_OF_ASSET, PIPELINES
from vision_assets_tests.pipeline import ALL_ASSETS, Runner, defs


class Ticks:
    """Ticks of the sensor, one after the other."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.defs = definitions
        self.instance = instance
        self.cursor: Any = None

    def next(self) -> set[str]:
        """Return the assets that the next tick requests."""
        result = dg.evaluate_automation_conditions(
            self.defs, self.instance, dg.AssetSelection.all(), cursor=self.cursor
        )
        self.cursor = result.cursor
        keys = self.defs.resolve_asset_graph().get_all_asset_keys()
        return {key.to_user_string() for key in keys if result.get_num_requested(key)}


class Graph:
    """Assets of the real one's shape: two ways from `features` to `encodings`, one by `dictionary`."""

    def __init__(self, instance: dg.DagsterInstance, extractor: str = "sift") -> None:
        self.instance = instance
        self.version = dict.fromkeys(("images", "features", "dictionary", "encodings"), "1")
        self.fails: set[str] = set()
        self.makes_nothing: set[str] = set()
        self.check_passes = True
        self.meanwhile: Callable[[], object] = lambda: None

        def asset(name: str, *upstream: str) -> dg.AssetsDefinition:
            @dg.asset(
                name=name,
                deps=list(upstream),
                automation_condition=follow_upstream(PIPELINES[extractor]) if upstream else None,
                output_required=False,
            )
            def made() -> Iterator[dg.MaterializeResult[None]]:
                self.meanwhile()
                if name in self.fails:
                    raise dg.Failure("as told")
                if name not in self.makes_nothing:
                    yield dg.MaterializeResult(data_version=dg.DataVersion(self.version[name]))

            return made

        @dg.asset_check(asset="features", blocking=True)
        def sound() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=self.check_passes)

        self.defs = dg.Definitions(
            assets=[
                asset("images"),
                asset("features", "images"),
                asset("dictionary", "features"),
                asset("encodings", "features", "dictionary"),
            ],
            asset_checks=[sound],
        )
        self.ticks = Ticks(self.defs, instance)
        self.tick = self.ticks.next

    def make(self, *names: str) -> None:
        job = self.defs.resolve_implicit_global_asset_job_def()
        keys = [dg.AssetKey(name) for name in names]
        job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False)

    def follow(self) -> list[set[str]]:
        """Make what is requested until nothing is; return what each tick has requested."""
        ticks = []
        while requested := self.tick():
            ticks.append(requested)
            self.make(*requested)
            assert len(ticks) < 10, "it does not end"
        return ticks


@pytest.fixture
def graph() -> Iterator[Graph]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(instance)


@pytest.fixture
def made(graph: Graph) -> Graph:
    graph.make("images", "features", "dictionary", "encodings")
    assert not graph.tick()
    return graph


def test_nothing_is_requested_before_the_first_asset_is_there(graph: Graph) -> None:
    assert not graph.tick()


def test_missing_assets_are_made_one_after_the_other(graph: Graph) -> None:
    graph.make("images")
    assert graph.follow() == [{"features"}, {"dictionary"}, {"encodings"}]


def test_other_extractors_make_nothing_before_they_are_asked_to() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        surf = Graph(instance, "surf")
        surf.make("images")
        assert not surf.follow()
        surf.make("features")
        assert not surf.follow()
        surf.version = dict.fromkeys(surf.version, "2")
        surf.make("images")
        assert surf.follow() == [{"features"}]


def test_the_same_content_is_followed_by_nothing(made: Graph) -> None:
    made.make("images")
    assert not made.follow()


def test_other_content_is_followed_by_each_once(made: Graph) -> None:
    made.version = dict.fromkeys(made.version, "2")
    made.make("images")
    assert made.follow() == [{"features"}, {"dictionary"}, {"encodings"}]
    assert not made.tick()


def test_it_ends_where_the_content_stays(made: Graph) -> None:
    made.version["images"] = "2"
    made.make("images")
    assert made.follow() == [{"features"}]


def test_an_unchanged_dictionary_does_not_hide_changed_features(made: Graph) -> None:
    made.version["features"] = "2"
    made.make("features")
    assert made.follow() == [{"dictionary"}, {"encodings"}]


def test_a_change_back_is_a_change(made: Graph) -> None:
    for version in ("2", "1"):
        made.version["images"] = version
        made.make("images")
        assert made.follow() == [{"features"}]


def test_a_change_before_automation_was_switched_on_is_seen(made: Graph) -> None:
    made.version["images"] = "2"
    made.make("images")
    made.ticks.cursor = None
    assert made.follow() == [{"features"}]


def test_what_fails_is_requested_once_until_something_changes(made: Graph) -> None:
    made.fails = {"dictionary"}
    made.version["features"] = "2"
    made.make("features")
    assert made.follow() == [{"dictionary"}], "and encodings of the old dictionary are of no use"
    made.fails = set()
    assert not made.tick()
    made.make("dictionary")
    assert made.follow() == [{"encodings"}]
    made.version["features"] = "3"
    made.make("features")
    assert made.follow() == [{"dictionary"}, {"encodings"}]


def test_an_asset_that_makes_nothing_is_requested_once(graph: Graph) -> None:
    graph.makes_nothing = {"dictionary"}
    graph.make("images")
    assert graph.follow() == [{"features"}, {"dictionary"}]


def test_a_failed_blocking_check_stops_it(made: Graph) -> None:
    made.check_passes = False
    made.version["features"] = "2"
    made.make("features")
    assert not made.tick()
    made.check_passes = True
    made.make("features")
    assert made.follow() == [{"dictionary"}, {"encodings"}]


def test_nothing_is_requested_while_an_upstream_is_being_made(made: Graph) -> None:
    made.version["images"] = "2"
    made.make("images")
    during = []
    made.meanwhile = lambda: during.append(made.tick())
    made.make("images", "features")
    assert during == [set(), set()]


def test_a_change_during_a_run_is_not_lost(made: Graph) -> None:
    """The run has read the old content, whatever it finds when it ends."""
    made.version["images"] = "2"
    made.make("images")
    assert made.tick() == {"features"}

    def change() -> None:
        made.meanwhile = lambda: None
        made.version["images"] = "3"
        made.make("images")
        assert not made.tick()

    made.meanwhile = change
    made.make("features")
    assert made.follow() == [{"features"}]


def test_only_the_sensor_requests_the_first_asset() -> None:
    assets = defs.resolve_asset_graph()
    following = {
        key.to_user_string() for key in assets.get_all_asset_keys() if assets.get(key).automation_condition
    }
    assert following == {"image_labels", *PIPELINE_OF_ASSET}


def shown_as_stale(instance: dg.DagsterInstance) -> set[str]:
    """Return the assets that Dagster's page shows as out of date."""
    assets = defs.resolve_asset_graph()
    status = CachingStaleStatusResolver(instance, assets, LoadingContextForTest(instance))
    return {asset for asset in ALL_ASSETS if status.get_status(dg.AssetKey(asset)) == StaleStatus.STALE}


@pytest.mark.whole
def test_the_real_graph(pipeline: Runner, image_folder: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = Ticks(defs, instance)
        least = {"splits": 1, "max_iter": 1}
        pipeline.run(image_folder, *ALL_ASSETS, instance=instance, image_classifier=least)
        assert not ticks.next(), "all is there"
        full = {"full_refresh": True}
        pipeline.run(image_folder, "image_seqfile", "sift_features", instance=instance, sift_features=full)
        assert not ticks.next(), "one table is up to date, one was made again with the same content"
        assert shown_as_stale(instance) == set()
        pipeline.run(None, "kmeans_dictionary", instance=instance, kmeans_dictionary={"seed": 1})
        assert shown_as_stale(instance) == {"bow_encodings"}
        pipeline.run(None, "sift_features", instance=instance, sift_features={"nfeatures": 50})
        assert ticks.next() == {"kmeans_dictionary"}
        never = {"seed": 1, "retrain": "never"}
        pipeline.run(None, "kmeans_dictionary", instance=instance, kmeans_dictionary=never)
        assert ticks.next() == {"bow_encodings"}, "words that are kept are not requested again"
        pipeline.run(None, "bow_encodings", instance=instance)
        assert ticks.next() == {"image_classifier"}
        other = dg.AssetMaterialization("image_seqfile", tags={"dagster/data_version": "other"})
        instance.report_runless_asset_event(other)
        assert not ticks.next(), "its checks have not passed"
        for check in defs.resolve_asset_graph().get(dg.AssetKey("image_seqfile")).check_keys:
            passed = dg.AssetCheckEvaluation(asset_key=check.asset_key, check_name=check.name, passed=True)
            instance.report_runless_asset_event(passed)
        assert ticks.next() == {"sift_features", "image_labels"}
