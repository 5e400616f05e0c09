"""The project beside the 2016 scripts."""

from collections.abc import Sequence
from typing import Any

from benchmarks.bench import Bench
from benchmarks.files import link_some
from benchmarks.report import Figures, Report, Row, compare, median, number


def _coding(bench: Bench) -> Figures:
    ours = bench.job().metadata["bow_encodings"]
    tables: dict[str, Any] = {name: bench.table(asset) for name, asset in _TABLES}
    images = bench.sizes.coded_images
    original = bench.call("peers.original_coding", images=images, processes=bench.cores, **tables).figures
    warm = bench.call("warm_encoding", images=images, **tables).figures
    return {
        "asset": ours["seconds"] / ours["descriptors"],
        "warm": warm["seconds"] / warm["descriptors"],
        "original": original["seconds"] / original["descriptors"],
        "descriptors": original["descriptors"],
        "images": min(images, bench.count),
    }


_TABLES = (("features", "sift_features"), ("dictionary", "kmeans_dictionary"))


def _report_coding(rounds: Sequence[Figures]) -> Report:
    last = rounds[-1]
    against = f"the original's loop over the {last['descriptors']:,} descriptors of {last['images']} images"
    kinds = (
        ("`bow_encodings` on all images, per descriptor", "asset", "start to commit of the asset"),
        (f"the same on {last['images']} images, per descriptor", "warm", "in a warm session, nothing stored"),
    )
    return Report(
        [
            compare(rounds, subject, ours, against, "original", "≥ 200 times faster", faster=True, note=note)
            for subject, ours, note in kinds
        ]
    )


def _whole(bench: Bench) -> Figures:
    images = bench.some_images(bench.sizes.original_images)
    with bench.scratch("data") as data:
        ours = bench.run_job(data, images)
    with bench.scratch("original") as folder:
        flat = link_some(images, bench.count, folder / "images", flat=True)
        files, features, model, encodings = (
            str(folder / name) for name in ("images.seq", "features", "model", "encodings")
        )
        upload = bench.call("original.upload", folder=flat, output=files)
        sift = bench.call("original.sift", images=files, output=features)
        kmeans = bench.call(
            "original.kmeans",
            features=features,
            output=model,
            k=bench.sizes.k,
            iterations=bench.sizes.iterations,
        )
        coding = bench.call(
            "original.coding",
            features=features,
            model=model,
            output=encodings,
            images=bench.sizes.coded_images,
        )
    coded = coding.figures
    rest = (coded["descriptors"] - coded["coded"]) * coded["seconds"] / coded["coded"] / bench.cores
    steps = {
        "upload": upload.seconds,
        "sift": sift.seconds,
        "kmeans": kmeans.seconds,
        "coding": coding.seconds + rest,
    }
    return {
        "ours": ours.seconds,
        "original": sum(steps.values()),
        "images": ours.metadata["image_seqfile"]["images"],
        "descriptors": coded["descriptors"],
        **steps,
    }


def _report_whole(rounds: Sequence[Figures]) -> Report:
    last = rounds[-1]
    steps = ", ".join(f"{step} {number(median(rounds, step))} s" for step in _STEPS)
    note = f"{last['descriptors']:,} descriptors; theirs: {steps} (scaled)"
    return Report(
        [
            compare(
                rounds,
                f"the full job on {last['images']:,} images",
                "ours",
                "the original's four scripts",
                "original",
                "≥ 30 times faster",
                faster=True,
                note=note,
            )
        ]
    )


_STEPS = ("upload", "sift", "kmeans", "coding")

ORIGINAL_CODING = Row("original_coding", _coding, _report_coding)
WHOLE_500 = Row("whole_500", _whole, _report_whole)
