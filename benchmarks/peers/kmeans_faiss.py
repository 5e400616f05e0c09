"""FAISS's k-means, on a float32 matrix in memory. Its threads are set in the environment."""

import time

import faiss
import numpy as np

from benchmarks.inertia import inertia


def measure(descriptors: str, initial: str, iterations: int) -> dict[str, float]:
    sample = np.load(descriptors)
    start = np.load(initial).astype(np.float32)
    x = sample.astype(np.float32)
    kmeans = faiss.Kmeans(
        start.shape[1],
        len(start),
        niter=iterations,
        nredo=1,
        # All descriptors, without a sample of its own and without a warning of few.
        max_points_per_centroid=10**9,
        min_points_per_centroid=1,
        seed=0,
    )
    started = time.monotonic()
    kmeans.train(x, init_centroids=start)
    seconds = time.monotonic() - started
    return {"seconds": seconds, "inertia": inertia(sample, np.asarray(kmeans.centroids))}
