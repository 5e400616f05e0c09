"""Spark's daemon that Python workers are forked from, with what they need imported before.

Each worker would import NumPy, OpenCV, SciPy and others by itself, which takes half a second, and have them
in memory once more.
"""

import gc

import pandas as pd  # noqa: F401 - PyArrow imports it with the first array that it makes of Python values
from pyspark import worker  # noqa: F401 - this one imports most of PySpark
from pyspark.daemon import manager

from vision_assets.steps import image_writer  # noqa: F401

if __name__ == "__main__":
    # Spark collects garbage after each task. To look through all objects of these modules takes 0.1 s every
    # time, as long as many a task itself.
    gc.collect()
    gc.freeze()
    manager()
