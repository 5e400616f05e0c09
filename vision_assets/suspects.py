"""Likely label errors and copies among the images that the current classifier was made from."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.pipelines import DEFAULT_EXTRACTOR, LABEL_ASSET, pipeline_of
from vision_assets.snapshots.files import open_files
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.spark.jvm import hadoop_of
from vision_assets.spark.session import start_session
from vision_assets.steps.encodings import vectors_of
from vision_assets.steps.label_errors import Copy, Suspect, find_copies, find_suspects
from vision_assets.steps.splits import SplitOptions, labelled_images, split_images, usable_images
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.vision.classification.linear import TrainingOptions


@dataclass(frozen=True)
class LabelReport:
    """What was found out about the labels of images.

    Parameters
    ----------
    suspects : tuple of Suspect
        Images that are likely to have a wrong label, the likeliest first.
    judged : int
        Number of images that took part in the cross-validation.
    usable : int
        Number of readable images with a label that the classifier does not exclude.
    copies : tuple of tuple of Copy
        Groups of images with the same bytes, where the labels differ or the classifier was not tested on
        some of them.
    is_current : bool
        Whether the classifier was made from the current encodings.
    """

    suspects: tuple[Suspect, ...]
    judged: int
    usable: int
    copies: tuple[tuple[Copy, ...], ...]
    is_current: bool


def inspect_labels(
    *,
    extractor: str = DEFAULT_EXTRACTOR,
    data_folder: str | os.PathLike[str] | None = None,
    trained: Callable[[int], object] = lambda _: None,
) -> LabelReport:
    """Find likely label errors and copies among the images that the current classifier was made from.

    The encodings, the training options and the excluded labels are those of the classifier. A Spark session
    is started if none runs.

    Parameters
    ----------
    extractor : str
        Name of the extractor whose classifier is taken: ``sift``, ``surf``, ...
    data_folder : str or path, optional
        Path or Hadoop URI of the pipeline's tables. None takes the environment variable VISION_ASSETS_DATA,
        or ``data``.
    trained : callable
        Takes the number of folds that a model is trained for, at first 0.

    Returns
    -------
    LabelReport

    Raises
    ------
    UserError
        If there is no such extractor or no classifier yet, what is stored is damaged, or fewer than two
        labels have two images or more.
    """
    step = pipeline_of(extractor).step("classifier")
    session: Callable[[], SparkSession] = cache(start_session)
    uri = str(data_folder or settings.data_folder())
    store = SnapshotStore(open_files(uri, lambda: hadoop_of(session())))
    try:
        store.require_current((step.asset,))
    except UserError as error:
        raise UserError(f"{error} It is skipped where images have fewer than two labels.") from error
    assert step.encoding  # noqa: S101 - a classifier is trained on encodings
    # The lease also keeps what the classifier was made from.
    with store.reading((step.asset,)) as snapshot:
        classifier = StoredTable(session(), store, snapshot)
        encodings = classifier.upstream(step.inputs["encodings"])
        features = classifier.upstream(step.ancestors["features"])
        for table in (classifier, encodings, features):
            table.require_complete()
        config = classifier.classifier().settings
        options = SplitOptions.from_config(config)
        labels = classifier.upstream(LABEL_ASSET).rows if LABEL_ASSET in snapshot.inputs else None
        images = usable_images(labelled_images(features.rows, labels), options)
        copies = find_copies(images, split_images(images, options))
        vectors = vectors_of(encodings.rows, step.encoding)
        judged, suspects = find_suspects(
            vectors, images, options.seed, TrainingOptions.from_config(config), trained
        )
        usable = images.count()
        is_current = store.current((encodings.asset,)) == encodings.snapshot
    return LabelReport(tuple(suspects), judged, usable, tuple(map(tuple, copies)), is_current)
