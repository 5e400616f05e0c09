"""Each descriptor goes to the centre that the model predicts; the distance to it is pooled per centre."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from pyspark.mllib.clustering import KMeansModel
from pyspark.sql import Row
from pyspark.sql import functions as F  # noqa: N812
from scipy.spatial.distance import euclidean

from benchmarks.peers.spark import plain_session


class Coded(NamedTuple):
    bow: list[float]
    seconds: float


def measure(features: str, model: str, output: str, images: int) -> dict[str, float]:
    """Encode some of the images; return what is needed to know how long all would take."""
    spark = plain_session()
    context = spark.sparkContext
    centers = KMeansModel.load(context, model).centers
    rows = spark.read.parquet(features)
    total = rows.agg(F.sum(F.size("features"))).head()[0]  # type: ignore[index]
    some = rows.limit(images).repartition(context.defaultParallelism)
    spark.createDataFrame(some.rdd.map(partial(_code_row, centers))).write.mode("overwrite").parquet(output)
    coded = spark.read.parquet(output).agg(F.sum("descriptors"), F.sum("seconds")).head()
    return {"descriptors": total, "coded": coded[0], "seconds": coded[1]}  # type: ignore[index]


def _code_row(centers: Sequence[Any], row: Row) -> Row:
    coded = code(centers, "sum", row.features)
    return Row(fileName=row.fileName, bow=coded.bow, descriptors=len(row.features), seconds=coded.seconds)


def code(centers: Sequence[Any], pooling: str, features: Sequence[Sequence[float]]) -> Coded:
    """Encode an image and say how long it took."""
    started = time.monotonic()
    model = KMeansModel(list(centers))
    bow = np.zeros(len(centers))
    for descriptor in np.array(features, np.float64):
        word = model.predict(descriptor)
        distance = euclidean(centers[word], descriptor)
        bow[word] = max(bow[word], distance) if pooling == "max" else bow[word] + distance
    return Coded(bow.tolist(), time.monotonic() - started)
