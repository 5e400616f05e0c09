"""How time and memory grow with the number of words."""

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.report import (
    PEAK_TITLES,
    Figures,
    Line,
    Report,
    Row,
    median,
    number,
    peak_cells,
    peaks,
    table,
)

_DESCRIPTORS_PER_WORD = 5  # at least; with fewer there is nothing to cluster


def _measure(bench: Bench) -> Figures:
    data, total = _features(bench)
    trained = min(total, bench.sizes.words_descriptors)
    figures: dict[str, float] = {"images": min(bench.count, bench.sizes.words_images), "descriptors": trained}
    for k in bench.sizes.words:
        if k * _DESCRIPTORS_PER_WORD > trained:
            continue
        per_word = None if trained == total else -(-trained // k)
        run = bench.commands.materialize(
            data,
            "kmeans_dictionary",
            "bow_encodings",
            config={
                "kmeans_dictionary": {
                    "k": k,
                    "max_iter": 1,
                    "descriptors_per_word": per_word,
                    "full_refresh": True,
                },
                "bow_encodings": {"full_refresh": True},
            },
            watched=True,
        )
        dictionary, encodings = run.metadata["kmeans_dictionary"], run.metadata["bow_encodings"]
        figures |= {
            f"dictionary {k}": dictionary["seconds"],
            f"pass {k}": dictionary["seconds_per_iteration"],
            f"encoding {k}": encodings["seconds"],
            **peaks(str(k), run.peak),
        }
    return figures


def _features(bench: Bench) -> tuple[Path, int]:
    """Return a data folder with features of a part of the images, and the number of their descriptors."""
    data = bench.folder / "words"
    if bench.sizes.words_images >= bench.count:
        total = bench.descriptors
        bench.once("words", lambda: shutil.copytree(bench.data, data))
        return data, total
    images = bench.some_images(bench.sizes.words_images)
    run = bench.once("words", lambda: bench.run_job(data, images))
    return data, int(run.metadata["sift_features"]["descriptors"])


def _report(rounds: Sequence[Figures]) -> Report:
    first = rounds[0]
    ks = [int(name.removeprefix("dictionary ")) for name in first if name.startswith("dictionary ")]
    data = f"{first['descriptors']:,} descriptors of {first['images']:,} images"
    if len(ks) < 2:
        return Report([Line("number of words", note=f"{data} are too few")])

    def growth(part: str, low: int, high: int) -> float:
        return median(rounds, f"{part} {high}") / median(rounds, f"{part} {low}") / (high / low)

    lines = [
        Line(
            f"growth of {named}, {ks[0]:,} to {ks[-1]:,} words",
            f"{number(max(growth(part, low, high) for low, high in pairwise(ks)))}",
            "the growth of k",
            ratio="largest of the steps",
            target="≤ 1",
            note=data,
        )
        for part, named in (("dictionary", "`kmeans_dictionary`"), ("encoding", "`bow_encodings`"))
    ]
    rows = [
        (
            f"{k:,}",
            *(number(median(rounds, f"{part} {k}")) for part in ("dictionary", "pass", "encoding")),
            *peak_cells(rounds, str(k)),
        )
        for k in ks
    ]
    titles = (
        *("words", "`kmeans_dictionary`, 1 iteration", "a pass", "`bow_encodings`"),
        *PEAK_TITLES,
    )
    return Report(lines, f"Seconds and peak memory by number of words, {data}:\n\n" + table(titles, rows))


WORDS = Row("words", _measure, _report)
