"""The sensor that watches the source of images."""

import json
import time
from dataclasses import asdict, dataclass

import dagster as dg

from vision_assets import settings
from vision_assets.collection import Collection
from vision_assets.defs.step_asset import asset_key
from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET
from vision_assets.redaction import redact
from vision_assets.spark.diagnosis import diagnose
from vision_assets.steps.sources.watch import Look, look_at

_INTERVAL = 60


class SourceError(dg.DagsterError):
    """The source cannot be inspected. Dagster shows an error of its own kind without wrapping it."""


@dataclass
class _Cursor:
    """The state of the sensor between ticks.

    Attributes
    ----------
    seen : str
        Fingerprint of the source at the last look.
    since : float
        When that fingerprint was first seen, in seconds since 1970.
    requested : str
        Fingerprint for which the last run was requested.
    """

    seen: str = ""
    since: float = 0.0
    requested: str = ""


def make_source_sensor(collection: Collection) -> dg.SensorDefinition:
    """Make the sensor that watches the source of a collection."""
    images = asset_key(collection, IMAGE_ASSET)

    @dg.sensor(
        name="source_sensor",
        target=dg.AssetSelection.assets(images),
        minimum_interval_seconds=_INTERVAL,
        description=f"Requests {IMAGE_ASSET} when files of the source are new, changed or removed, judged by "
        "names, sizes and modification times. It waits until nothing changes from one look to the next and "
        f"no run of {IMAGE_ASSET} is in progress. follow_upstream updates the tables made from it. The "
        f"source is the project file's, or that of {settings.SOURCE}.",
    )
    def source_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Request a run for a source that has changed."""
        source = collection.source
        if not source:
            return dg.SensorResult(
                skip_reason=f"No source is watched: set {settings.SOURCE} to a folder, an archive or a URI "
                "where Dagster is started, or `source:` in the project file."
            )
        return _tick(context, source, images)

    return source_sensor


def _tick(context: dg.SensorEvaluationContext, source: str, images: dg.AssetKey) -> dg.SensorResult:
    cursor = _Cursor(**json.loads(context.cursor)) if context.cursor else _Cursor()
    look = _look_at(source)
    is_at_rest, cursor.seen = look.fingerprint == cursor.seen, look.fingerprint
    if not is_at_rest:
        cursor.since = time.time()
    where = f"{redact(source)}: {look.files:,} files"
    last = _last_run(context.instance, images)
    if look.fingerprint == cursor.requested:
        failed = f" Run {last.run_id} has failed: re-execute it." if last and last.is_failure else ""
        return _skip(f"{where}, nothing has changed.{failed}", cursor)
    if not is_at_rest:
        return _skip(f"{where}, changed. A run follows if nothing changes until the next look.", cursor)
    if last and not last.is_finished:
        return _skip(f"{where}, changed. A run follows when run {last.run_id} has ended.", cursor)
    cursor.requested = look.fingerprint
    # With the time, a change back and forth is a new request, and a repeated request is the same one.
    request = dg.RunRequest(run_key=f"{look.fingerprint}@{cursor.since}")
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asdict(cursor)))


def _look_at(source: str) -> Look:
    try:
        return look_at(source)
    except UserError as error:
        raise SourceError(redact(str(error))) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, its cause is named
        raise SourceError(redact(f"cannot look at {source}: {diagnose(error).text}")) from None


def _skip(reason: str, cursor: _Cursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps(asdict(cursor)))


def _last_run(instance: dg.DagsterInstance, images: dg.AssetKey) -> dg.DagsterRun | None:
    records = instance.get_asset_records([images])
    return instance.get_run_by_id(records[0].asset_entry.last_run_id or "") if records else None
