"""Spark's daemon that forks the Python workers, with the modules that they need already imported.

Otherwise each worker would import NumPy, OpenCV, SciPy and others itself, which takes half a second, and have
its own copy of them in memory.
"""

import gc

import pandas as pd  # noqa: F401 - PyArrow imports it with the first array of Python values
from pyspark import worker  # noqa: F401 - imports most of PySpark
from pyspark.daemon import manager

from vision_assets.steps import dictionary, encodings, features, image_writer  # noqa: F401 - what tasks run

if __name__ == "__main__":
    # Spark collects garbage after each task. Scanning all objects of these modules would take 0.1 s each
    # time, as long as many tasks themselves.
    gc.collect()
    gc.freeze()
    manager()
