"""The coding of the 2016 scripts on some images: a Python loop over their descriptors."""

from functools import partial
from multiprocessing import get_context

import numpy as np

from benchmarks import stored
from benchmarks.original.coding import code


def measure(features: str, dictionary: str, images: int, processes: int) -> dict[str, float]:
    """Time the loops. With more images every process would be busy to the end: that is what is counted."""
    chosen = [matrix.tolist() for _, matrix in stored.images(features, images)]
    centers = list(stored.centers(dictionary).astype(np.float64))
    with get_context("fork").Pool(processes) as pool:
        seconds = [coded.seconds for coded in pool.imap_unordered(partial(code, centers, "sum"), chosen)]
        # As in `bare_sift`.
        pool.close()
        pool.join()
    return {"seconds": sum(seconds) / processes, "descriptors": sum(map(len, chosen))}
