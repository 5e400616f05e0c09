"""The code location: all that Dagster loads."""

import dagster as dg

from vision_assets.assets.bow_encodings import bow_encodings
from vision_assets.assets.classification_report import classification_report
from vision_assets.assets.image_classifier import image_classifier
from vision_assets.assets.image_seqfile import image_seqfile
from vision_assets.assets.kmeans_dictionary import kmeans_dictionary
from vision_assets.assets.sift_features import sift_features
from vision_assets.automation import follow_upstream_sensor
from vision_assets.checks import checks
from vision_assets.jobs import bovw_pipeline
from vision_assets.resources import make_resources
from vision_assets.sensors import source_sensor

defs = dg.Definitions(
    assets=[
        image_seqfile,
        sift_features,
        kmeans_dictionary,
        bow_encodings,
        image_classifier,
        classification_report,
    ],
    asset_checks=checks,
    jobs=[bovw_pipeline],
    sensors=[source_sensor, follow_upstream_sensor],
    resources=make_resources(),
    # One process, one JVM and one Spark session per run; Spark is what runs things side by side.
    executor=dg.in_process_executor,
)
