"""The dictionary trained on all descriptors beside the one trained on the sample."""

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.report import (
    PEAK_TITLES,
    Figures,
    Report,
    Row,
    compare,
    median,
    megabytes,
    number,
    peak_cells,
    peaks,
    table,
)

_KINDS = ("sample", "all")


def _measure(bench: Bench) -> Figures:
    figures: dict[str, float] = {}
    for kind, per_word in zip(_KINDS, (256, None), strict=True):
        run = bench.commands.materialize(
            bench.data,
            "kmeans_dictionary",
            config={"kmeans_dictionary": bench.kmeans(descriptors_per_word=per_word, full_refresh=True)},
            watched=True,
        )
        made = run.metadata["kmeans_dictionary"]
        figures |= {
            f"{kind} seconds": made["seconds"],
            f"{kind} pass": made["seconds_per_iteration"],
            f"{kind} descriptors": made["training_descriptors"],
            f"{kind} per descriptor": made["seconds_per_iteration"] / made["training_descriptors"],
            **peaks(kind, run.peak),
        }
    return figures


def _report(rounds: Sequence[Figures]) -> Report:
    memory = " against ".join(megabytes(median(rounds, f"{kind} total")) for kind in reversed(_KINDS))
    line = compare(
        rounds,
        "`kmeans_dictionary` with all descriptors, a pass, per descriptor",
        "all per descriptor",
        "the same with the sample",
        "sample per descriptor",
        "in proportion",
        note=f"memory {memory}",
    )
    rows = [
        (
            kind,
            f"{rounds[0][f'{kind} descriptors']:,}",
            *(number(median(rounds, f"{kind} {name}")) for name in ("seconds", "pass")),
            *peak_cells(rounds, kind),
        )
        for kind in _KINDS
    ]
    titles = ("trained on", "descriptors", "seconds", "a pass", *PEAK_TITLES)
    return Report([line], "Training on all descriptors and on the sample:\n\n" + table(titles, rows))


KMEANS_ALL = Row("kmeans_all", _measure, _report)
