"""scikit-learn's k-means, on a float32 matrix in memory. Its threads are set in the environment."""

import time
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from benchmarks.inertia import inertia


def measure(descriptors: str, initial: str, iterations: int) -> dict[str, float]:
    warnings.simplefilter("ignore", ConvergenceWarning)
    sample = np.load(descriptors)
    start = np.load(initial).astype(np.float32)
    x = sample.astype(np.float32)
    kmeans = KMeans(len(start), init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd")
    started = time.monotonic()
    kmeans.fit(x)
    seconds = time.monotonic() - started
    return {"seconds": seconds, "inertia": inertia(sample, kmeans.cluster_centers_)}
