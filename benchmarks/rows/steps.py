"""Each step of the pipeline beside what does the same without it, and all steps together."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.bench import Bench
from benchmarks.commands import Called
from benchmarks.report import Figures, Report, Row, compare, median, number

_OTHER_KERNEL = "Haswell"
_WITH_OTHER_KERNEL = "with_other_kernel"


def _bare_sift(bench: Bench) -> Called:
    return bench.in_round(
        "bare_sift",
        lambda: bench.call("peers.bare_sift", folder=bench.images, processes=bench.cores),
    )


def _bare_encoding(bench: Bench) -> Called:
    return bench.in_round(
        "bare_encoding",
        lambda: bench.call(
            "peers.bare_encoding",
            features=bench.table("sift_features"),
            dictionary=bench.table("kmeans_dictionary"),
            processes=bench.cores,
        ),
    )


def _kmeans(bench: Bench, peer: str, *, threads: int, name: str = "", **arguments: Any) -> Called:
    sample = bench.sample()
    return bench.in_round(
        name or peer,
        lambda: bench.call(
            f"peers.{peer}",
            threads=threads,
            descriptors=sample.descriptors,
            initial=sample.initial,
            iterations=bench.sizes.iterations,
            **arguments,
        ),
    )


def _faiss(bench: Bench) -> Called:
    """Measure FAISS with the kernel that OpenBLAS chooses, and with another; the faster one counts."""

    def measure(kernel: str | None) -> Called:
        name = f"kmeans_faiss {kernel or ''}"
        return _kmeans(bench, "kmeans_faiss", threads=bench.cores, name=name, kernel=kernel)

    chosen, other = measure(None), measure(_OTHER_KERNEL)
    if chosen.figures["seconds"] <= other.figures["seconds"]:
        return chosen
    return Called(other.seconds, other.figures | {_WITH_OTHER_KERNEL: 1})


def _sift(bench: Bench) -> Figures:
    job, pool = bench.in_turns(bench.job, lambda: _bare_sift(bench))
    ours, bare = job.metadata["sift_features"], pool.figures
    return {
        "ours": ours["seconds"],
        "descriptors": ours["descriptors"],
        "bare": bare["seconds"],
        "bare_descriptors": bare["descriptors"],
        "images": bench.count,
    }


def _report_sift(rounds: Sequence[Figures]) -> Report:
    last = rounds[-1]
    note = f"{last['images']:,} images, {last['descriptors']:,} descriptors"
    if last["descriptors"] != last["bare_descriptors"]:
        note += f", of the pool {last['bare_descriptors']:,}"
    return Report(
        [compare(rounds, "`sift_features`", "ours", "a bare pool of processes", "bare", "≤ 1.03", note=note)]
    )


def _encoding(bench: Bench) -> Figures:
    job, pool = bench.in_turns(bench.job, lambda: _bare_encoding(bench))
    return {"ours": job.metadata["bow_encodings"]["seconds"], "bare": pool.figures["seconds"]}


def _report_encoding(rounds: Sequence[Figures]) -> Report:
    against = "NumPy, one product per image, a pool of processes"
    return Report([compare(rounds, "`bow_encodings`", "ours", against, "bare", "≤ 1.15")])


def _own_kmeans(bench: Bench) -> Figures:
    ours = bench.job().metadata["kmeans_dictionary"]
    return {
        "ours": ours["seconds"],
        "passes": sum(record["seconds"] for record in ours["inertia_of_every_iteration"]),
        "inertia": ours["inertia"],
        "initial_inertia": ours["inertia_of_every_iteration"][0]["inertia"],
        "descriptors": ours["training_descriptors"],
        "words": ours["words"],
    }


def _kmeans_row(
    name: str,
    against: str,
    train: Callable[[Bench], Called],
    target: str,
    target_of_passes: str = "",
    *,
    faster: bool = False,
) -> Row:
    def measure(bench: Bench) -> Figures:
        ours, trained = bench.in_turns(lambda: _own_kmeans(bench), lambda: train(bench))
        theirs = trained.figures
        return {
            **ours,
            "theirs": theirs["seconds"],
            "their_inertia": theirs["inertia"],
            **{name: theirs[name] for name in (_WITH_OTHER_KERNEL,) if name in theirs},
        }

    targets = target, target_of_passes or target
    return Row(name, measure, lambda rounds: _report_kmeans(rounds, against, targets, faster=faster))


def _mllib(bench: Bench) -> Called:
    return _kmeans(bench, "kmeans_mllib", threads=1)


def _sklearn(bench: Bench) -> Called:
    return _kmeans(bench, "kmeans_sklearn", threads=bench.cores)


def _report_kmeans(
    rounds: Sequence[Figures], against: str, targets: tuple[str, str], *, faster: bool
) -> Report:
    last = rounds[-1]
    if _WITH_OTHER_KERNEL in last:
        against += f" with OPENBLAS_CORETYPE={_OTHER_KERNEL}"
    data = f"{last['words']:,} words of {last['descriptors']:,} descriptors"
    inertia = f"inertia {last['inertia']:,.0f}, theirs {last['their_inertia']:,.0f}"
    return Report(
        [
            compare(
                rounds,
                f"`kmeans_dictionary`{part}",
                ours,
                against,
                "theirs",
                target,
                faster=faster,
                note=note,
            )
            for part, ours, target, note in (
                ("", "ours", targets[0], data),
                (", its passes alone", "passes", targets[1], inertia),
            )
        ]
    )


def _whole(bench: Bench) -> Figures:
    def theirs() -> dict[str, float]:
        return {
            "sift": _bare_sift(bench).with_start,
            "kmeans": _faiss(bench).with_start,
            "encoding": _bare_encoding(bench).with_start,
        }

    ours, steps = bench.in_turns(bench.job, theirs)
    made = {f"our {asset}": figures["seconds"] for asset, figures in ours.metadata.items()}
    return {"ours": ours.seconds, "bare": sum(steps.values()), **steps, **made}


def _report_whole(rounds: Sequence[Figures]) -> Report:
    parts = " + ".join(number(median(rounds, part)) for part in ("sift", "kmeans", "encoding"))
    against = "the bare pool, FAISS and NumPy, one after the other"
    own = ", ".join(
        f"{name.removeprefix('our ')} {number(median(rounds, name))}"
        for name in rounds[0]
        if name.startswith("our ")
    )
    return Report(
        [compare(rounds, "the full job", "ours", against, "bare", "≤ 1.18", note=f"{own}; theirs {parts} s")]
    )


SIFT = Row("sift", _sift, _report_sift)
KMEANS_MLLIB = _kmeans_row("kmeans_mllib", "MLlib's `KMeans`", _mllib, "≥ 15 times faster", faster=True)
KMEANS_FAISS = _kmeans_row("kmeans_faiss", "FAISS `Kmeans`", _faiss, "≤ 1.2", "≤ 0.6")
KMEANS_SKLEARN = _kmeans_row("kmeans_sklearn", "scikit-learn's `KMeans`", _sklearn, "≤ 2")
ENCODING = Row("encoding", _encoding, _report_encoding)
WHOLE = Row("whole", _whole, _report_whole)
