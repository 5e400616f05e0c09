"""SIFT of each image to Parquet: the file's name and a list of lists of double."""

from collections.abc import Iterator

import cv2
import numpy as np
from pyspark.sql import Row

from benchmarks.peers.spark import plain_session


def measure(images: str, output: str) -> dict[str, float]:
    spark = plain_session()
    rows = spark.sparkContext.sequenceFile(images).flatMap(_extract)
    spark.createDataFrame(rows).write.mode("overwrite").parquet(output)
    return {}


def _extract(image: tuple[str, bytearray]) -> Iterator[Row]:
    cv2.setNumThreads(1)  # as many processes as cores are at work
    gray = cv2.imdecode(np.frombuffer(image[1], np.uint8), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        return
    _, descriptors = cv2.SIFT_create().detectAndCompute(gray, None)  # type: ignore[attr-defined]
    if descriptors is not None:
        yield Row(fileName=image[0], features=descriptors.astype(float).tolist())
