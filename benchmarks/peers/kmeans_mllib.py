"""MLlib's k-means, on an RDD of vectors that Spark has cached before the clock starts."""

import time

import numpy as np
from numpy.typing import NDArray
from pyspark.mllib.clustering import KMeans, KMeansModel
from pyspark.mllib.linalg import DenseVector

from benchmarks.inertia import inertia
from benchmarks.peers.spark import plain_session

_TASKS_PER_CORE = 2


def measure(descriptors: str, initial: str, iterations: int) -> dict[str, float]:
    sample = np.load(descriptors)
    start = KMeansModel(list(np.load(initial).astype(np.float64)))
    context = plain_session().sparkContext
    tasks = _TASKS_PER_CORE * context.defaultParallelism
    vectors = context.parallelize(np.array_split(sample, tasks), tasks).flatMap(_vectors).cache()
    vectors.count()
    started = time.monotonic()
    model = KMeans.train(
        vectors, len(start.centers), maxIterations=iterations, initialModel=start, epsilon=0.0
    )
    seconds = time.monotonic() - started
    vectors.unpersist()
    return {"seconds": seconds, "inertia": inertia(sample, np.array(model.centers))}


def _vectors(block: NDArray[np.uint8]) -> list[DenseVector]:
    return [DenseVector(row) for row in block.astype(np.float64)]
