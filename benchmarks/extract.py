"""Images of any source that the project knows, as plain files, which its peers read."""

from functools import partial
from pathlib import Path

from pyspark import RDD

from benchmarks.files import spread
from vision_assets.spark.session import start_session
from vision_assets.steps.sources import open_source
from vision_assets.steps.sources.listing import clean_key


def measure(source: str, images: int | None, folder: str) -> dict[str, int]:
    """Write evenly spaced images, or all; return how many the source has."""
    spark = start_session()
    with open_source(spark, source, reader="workers") as chosen:
        assert chosen.by_workers is not None
        pairs: RDD[tuple[str, bytes]] = chosen.by_workers(spark.sparkContext)
        total = pairs.count() if chosen.count is None else chosen.count
        numbers = set(spread(range(total), total if images is None else images))
        pairs.zipWithIndex().filter(lambda row: row[1] in numbers).keys().foreach(partial(_write, folder))
    return {"images": total}


def _write(folder: str, pair: tuple[str, bytes]) -> None:
    # A SequenceFile from elsewhere can have any keys.
    file = Path(folder, clean_key(pair[0]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pair[1])
