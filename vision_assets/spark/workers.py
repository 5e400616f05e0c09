"""Python workers of Spark."""

import gc
from functools import cache


@cache
def prepare_worker() -> None:
    """Take what is imported by now out of the sight of this worker's garbage collector, once.

    Spark collects garbage after each task. To look through all objects of NumPy, pandas, OpenCV and others
    takes 0.1 s every time, as long as many a task itself.
    """
    gc.collect()
    gc.freeze()
