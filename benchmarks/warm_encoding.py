"""The project's encoding of some images, in a session that has encoded them before."""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import stored
from vision_assets.spark.session import start_session
from vision_assets.steps.encodings import encode_features
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.tables.parquet import read_parquet
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.sift import SiftOptions

_TIMES = 6


def measure(features: str, dictionary: str, images: int) -> dict[str, float]:
    spark = start_session()
    table = read_parquet(spark, features)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        some = Path(folder, "features").as_uri()
        table.where(table.fileName.isin(stored.names(features, images))).write.parquet(some)
        for _ in range(_TIMES):
            started = time.monotonic()
            vocabulary = load_vocabulary(read_parquet(spark, dictionary))
            encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords())
            encodings = encode_features(read_parquet(spark, some), encoder).to_frame()
            encodings.write.format("noop").mode("overwrite").save()
            seconds.append(time.monotonic() - started)
        descriptors = read_parquet(spark, some).agg({"keypointCount": "sum"}).head()
    return {"seconds": statistics.median(seconds[1:]), "descriptors": descriptors[0]}  # type: ignore[index]
