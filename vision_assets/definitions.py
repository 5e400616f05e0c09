"""The code location: all that Dagster loads."""

import dagster as dg

from vision_assets.defs.assets.classifier import make_image_classifier
from vision_assets.defs.assets.dictionary import make_kmeans_dictionary
from vision_assets.defs.assets.encodings import make_bow_encodings
from vision_assets.defs.assets.features import make_features
from vision_assets.defs.assets.images import image_seqfile
from vision_assets.defs.assets.report import make_classification_report
from vision_assets.defs.automation import follow_upstream_sensor
from vision_assets.defs.checks import checks
from vision_assets.defs.jobs import jobs
from vision_assets.defs.resources import make_resources
from vision_assets.defs.sensors import source_sensor
from vision_assets.pipelines import PIPELINES

_MAKE = (
    make_features,
    make_kmeans_dictionary,
    make_bow_encodings,
    make_image_classifier,
    make_classification_report,
)

defs = dg.Definitions(
    assets=[image_seqfile, *(make(chain) for chain in PIPELINES.values() for make in _MAKE)],
    asset_checks=checks,
    jobs=list(jobs.values()),
    sensors=[source_sensor, follow_upstream_sensor],
    resources=make_resources(),
    # One process, one JVM and one Spark session per run; Spark is what runs things side by side.
    executor=dg.in_process_executor,
)
