"""An archive of Spark's loaded Java classes, with which a local session starts and warms up faster.

``python -m vision_assets.steps.class_archive`` creates the file. Without it, or with another Java, everything
works, only slower. It is Java's class data sharing (JEP 350: Dynamic CDS Archives).
"""

import tempfile
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.properties import SILENT_ARCHIVE, class_archive, spark_config
from vision_assets.spark.session import start_session
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps import image_index, image_writer
from vision_assets.steps.classifier import train_classifier
from vision_assets.steps.dictionary import KMEANS_DICTIONARY, train, word_rows
from vision_assets.steps.encodings import BOW_ENCODINGS, encode_features, vectors_of
from vision_assets.steps.features import extract, features_table
from vision_assets.steps.image_table import IMAGE_SEQFILE
from vision_assets.steps.images import ImageStore
from vision_assets.steps.labels import LabelOptions, label_images
from vision_assets.steps.predictions import IMAGE_PREDICTIONS, predict
from vision_assets.steps.report import confusion_matrices
from vision_assets.steps.sources import open_source
from vision_assets.steps.splits import (
    TEST,
    TRAIN,
    SplitOptions,
    count_subsets,
    labelled_images,
    split_images,
    usable_images,
)
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.tables.parquet import read_parquet, write_by_workers, write_parquet
from vision_assets.tables.table import Table
from vision_assets.tables.verification import observe, summarize
from vision_assets.vision.classification.linear import TrainingOptions
from vision_assets.vision.data.samples import write_sample_images
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.vocabulary.kmeans import KMeansOptions


def make() -> Path:
    """Create the archive: run each step of the pipeline once and let the JVM dump the classes it has loaded.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    RuntimeError
        If Java fails.
    """
    file = class_archive()
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        unfinished = Path(folder, file.name)
        config = spark_config() | {"spark.master": "local[2]"}
        config["spark.driver.extraJavaOptions"] += f" -XX:ArchiveClassesAtExit={unfinished} {SILENT_ARCHIVE}"
        spark = start_session(config)
        _use(spark, Path(folder))
        spark.stop()
        _await_end()
        unfinished.replace(file)  # atomic, so that no JVM maps an incomplete file
    return file


def _use(spark: SparkSession, folder: Path) -> None:
    def stored(name: str, rows: DataFrame | MappedRows, table: Table) -> DataFrame:
        uri = str(folder / name)
        if isinstance(rows, MappedRows):
            write_by_workers(rows, table, uri)
            summarize(table, read_parquet(spark, uri))
            return read_parquet(spark, uri)
        observed_rows, observation = observe(table, rows)
        write_parquet(observed_rows, table, uri)
        summarize(table, read_parquet(spark, uri), observed=observation.get)
        return read_parquet(spark, uri)

    source, images = str(folder / "source"), str(folder / "images")
    write_sample_images(Path(source), images_per_class=2)
    with open_source(spark, source) as opened:
        image_writer.write(spark, opened, images)
    summarize(IMAGE_SEQFILE, image_index.read(spark, images))
    extracted = extract(ImageStore(spark, images).table(), SiftOptions())
    features = stored("features", extracted, features_table(SiftOptions))
    training = train(features, KMeansOptions(k=8, max_iter=1))
    words = stored("dictionary", word_rows(spark, training.final), KMEANS_DICTIONARY)
    encoder = ImageEncoder(SiftOptions(), load_vocabulary(words), BagOfWords())
    encodings = stored("encodings", encode_features(features, encoder), BOW_ENCODINGS)
    vectors = vectors_of(encodings, BagOfWords)
    options = SplitOptions(train_per_class=1, splits=1)
    labelled = labelled_images(features, label_images(features, LabelOptions()).rows)
    subsets = split_images(usable_images(labelled, options), options)
    labels = tuple(sorted({label for _, label, subset in count_subsets(subsets) if subset == TRAIN}))
    classifier = train_classifier(vectors, subsets, labels, options.splits, TrainingOptions(max_iter=1))
    tested = subsets.where(F.col("subset") == TEST)
    predictions = stored("predictions", predict(vectors, tested, classifier), IMAGE_PREDICTIONS)
    confusion_matrices(predictions, options.splits, labels)


def _await_end() -> None:
    """Let the JVM exit on its own, because it writes the file then."""
    gateway: Any = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()
    if status := gateway.proc.wait():
        raise RuntimeError(f"Java ended with status {status}")


if __name__ == "__main__":
    made = make()
    print(f"{made}: {made.stat().st_size / 1e6:,.0f} MB")
