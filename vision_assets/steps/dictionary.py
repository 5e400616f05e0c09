"""The dictionary of visual words: a k-means clustering of the descriptors, one row per word."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DoubleType, FloatType, IntegerType, LongType, StructType

from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, Step
from vision_assets.snapshots.checkpoints import seal, unseal
from vision_assets.steps.descriptor_sample import (
    BLOCK_ROWS,
    SampledDescriptors,
    count_descriptors,
    share_of_images,
)
from vision_assets.steps.images import sample_of
from vision_assets.steps.pictures.dictionary import draw_dictionary
from vision_assets.steps.run_options import RefreshOptions, RetrainOptions
from vision_assets.steps.spec import StepSpec, TableWithLineage
from vision_assets.tables.columns import column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.draw import Picture
from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT, UINT8, Descriptors
from vision_assets.vision.vocabulary.kmeans import (
    KMeansOptions,
    KMeansState,
    initial_centers,
    lloyd,
    seeding_candidates,
    state_from_npz,
    state_to_npz,
)

_NUMBERED_WORDS = Invariant(
    "min(wordId) = 0 and max(wordId) = count(*) - 1", "The words are numbered from 0, without gaps."
)
_NO_EMPTY_WORD = Invariant("bool_and(descriptorCount > 0)", "Every word has descriptors.")


def dictionary_table(dtype: np.dtype) -> Table:
    """Describe the table of a dictionary.

    Parameters
    ----------
    dtype : dtype
        dtype of the descriptors: uint8 or float32.
    """
    values = (
        {
            "values_in_range": Invariant(
                "bool_and(array_min(center) >= -1 and array_max(center) <= 1"
                " and inertia >= 0 and inertia < double('infinity'))",
                "All values are between -1 and 1; none is infinite or not a number.",
            )
        }
        if dtype == FIXED_POINT
        else {
            "finite_and_non_negative": Invariant(
                "bool_and(array_min(center) >= 0 and array_max(center) <= 255"
                " and inertia >= 0 and inertia < double('infinity'))",
                "No value is negative, infinite or not a number.",
            )
        }
    )
    return Table(
        schema=StructType(
            [
                column("wordId", IntegerType(), "0 to k - 1"),
                column(
                    "center",
                    ArrayType(FloatType(), containsNull=False),
                    "mean of the word's descriptors, as long as one of them",
                ),
                column("descriptorCount", LongType(), "training descriptors nearest to this centre"),
                column("inertia", DoubleType(), "sum of their squared distances to it"),
            ]
        ),
        key="wordId",
        row_noun="words",
        counts={
            "words": Count("count(*)"),
            "training_descriptors": Count("sum(descriptorCount)"),
            "smallest_word_size": Count("min(descriptorCount)", merge=min),
            "largest_word_size": Count("max(descriptorCount)", merge=max),
        },
        invariants={"numbered_words": _NUMBERED_WORDS, "no_empty_word": _NO_EMPTY_WORD, **values},
        rows_setting="k",
        content="struct(wordId, center, descriptorCount, inertia)",
        content_is_all=True,
    )


KMEANS_DICTIONARY = dictionary_table(UINT8)
"""The table of words of uint8 descriptors."""


def declare(step: Step) -> StepSpec:
    """Declare the asset of a k-means dictionary."""
    extractor = step.extractor
    assert extractor  # noqa: S101 - a dictionary is made from features

    def draw(words: TableWithLineage) -> Mapping[str, Picture]:
        features = words.upstream(step.inputs["features"])
        sample = sample_of(features.upstream(IMAGE_ASSET))
        return draw_dictionary(sample, features.rows, words.rows, extractor)

    return StepSpec(
        step,
        dictionary_table(extractor.dtype),
        description="Visual words: the centres of a k-means clustering of the descriptors, one row per word."
        "\n\nTrained again only if the features or the settings have changed, or as `retrain` says.",
        options=(KMeansOptions, RetrainOptions, RefreshOptions),
        code_version="2",
        draw=draw,
        summarize=_summarize,
    )


def _summarize(counts: Mapping[str, float]) -> str:
    return (
        f"{counts['words']:,} words, trained on {counts['training_descriptors']:,} descriptors: "
        f"{counts['smallest_word_size']:,} to {counts['largest_word_size']:,} for each word."
    )


@dataclass(frozen=True)
class KMeansCheckpoint:
    """The state of a training that can be resumed.

    Parameters
    ----------
    state : KMeansState
    inertia : list of float
        Inertia of the initial centres and after each update.
    seconds : list of float
        Duration of each of these passes.
    """

    state: KMeansState
    inertia: list[float]
    seconds: list[float]

    def to_bytes(self) -> bytes:
        """Return the bytes to store."""
        history = json.dumps({"inertia": self.inertia, "seconds": self.seconds}).encode()
        return seal(history + b"\n" + state_to_npz(self.state))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` returned; raise a `ValueError` if it is corrupt."""
        history, _, state = unseal(data).partition(b"\n")
        return cls(state_from_npz(state), **json.loads(history))


@dataclass(frozen=True)
class TrainingResult:
    """A trained dictionary and the history of its training.

    Parameters
    ----------
    final : KMeansState
    total : int
        Number of descriptors in the features.
    trained : int
        Number of descriptors in the sample.
    inertia : list of float
        Inertia of the initial centres and after each update.
    seconds : list of float
        Duration of each of these passes.
    """

    final: KMeansState
    total: int
    trained: int
    inertia: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    features: DataFrame,
    options: KMeansOptions,
    log: Callable[[str], None] = lambda _: None,
    block_rows: int = BLOCK_ROWS,
    dtype: np.dtype = UINT8,
    start: KMeansCheckpoint | None = None,
    save: Callable[[KMeansCheckpoint], None] = lambda _: None,
) -> TrainingResult:
    """Train a dictionary by Lloyd's k-means on a sample of the descriptors.

    The result depends on the features and the options alone: neither the partitions nor `block_rows`
    change a bit of it.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``digest``, ``keypointCount``, ``descriptors``, ``error``.
    options : KMeansOptions
    log : callable
        Takes a line after each pass.
    block_rows : int
        Descriptors that a worker handles at once.
    dtype : dtype
        dtype of the descriptors: uint8 or float32.
    start : KMeansCheckpoint, optional
        Where an interrupted training with the same features and options stopped.
    save : callable
        Called after each pass.

    Returns
    -------
    TrainingResult

    Raises
    ------
    UserError
        If there are no descriptors, or fewer distinct ones than words.
    """
    total, images = count_descriptors(features)
    wanted = total if options.descriptors_per_word is None else options.k * options.descriptors_per_word
    rate = min(1.0, wanted / total)
    sample = SampledDescriptors(
        features,
        rate,
        share_of_images(rate, images),
        options.seed,
        block_rows,
        dtype,
        rows=math.ceil(rate * total),
        words=options.k,
    )
    try:
        return _train_on(sample, options, total, log, start, save)
    finally:
        sample.release()


def _train_on(
    sample: "SampledDescriptors",
    options: KMeansOptions,
    total: int,
    log: Callable[[str], None],
    start: KMeansCheckpoint | None,
    save: Callable[[KMeansCheckpoint], None],
) -> TrainingResult:
    trained = sample.count()
    initial = start.state if start else _initial_centers(sample, options, trained, total)
    log(
        f"training on {trained:,} of {total:,} descriptors"
        + (f", resumed after iteration {start.state.index}" if start else "")
    )
    inertia = list(start.inertia) if start else []
    seconds = list(start.seconds) if start else []
    started = time.monotonic()

    def report(state: KMeansState) -> None:
        nonlocal started
        inertia.append(math.fsum(state.inertia))
        seconds.append(time.monotonic() - started)
        left = max(0, options.max_iter - state.index) * seconds[-1]
        log(
            (f"iteration {state.index} of {options.max_iter}" if state.index else "initial centres")
            + f": inertia {inertia[-1]:.6g}, {_short(inertia[-1] / trained)} per descriptor"
            + f", {seconds[-1]:.1f} s"
            + (f", at most {left:.0f} s left" if left else "")
        )
        save(KMeansCheckpoint(state, inertia, seconds))
        started = time.monotonic()

    final = lloyd(sample, initial, max_iter=options.max_iter, tol=options.tol, report=report)
    return TrainingResult(final, total, trained, inertia, seconds)


def _short(value: float) -> str:
    """Format an inertia: thousands for bytes, below 1 for fixed-point values."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _initial_centers(
    sample: "SampledDescriptors", options: KMeansOptions, trained: int, total: int
) -> Vocabulary:
    wanted = seeding_candidates(options.k, options.init_mode)
    candidates: Descriptors = sample.distinct(wanted) if trained else np.empty((0, 0), np.uint8)
    if len(candidates) < options.k:
        raise UserError(
            f"k = {options.k:,} words need as many distinct descriptors, but there are only "
            f"{len(candidates):,} among the {trained:,} trained on ({total:,} in all). "
            "Lower k, add images, or set descriptors_per_word to null."
        )
    chosen = initial_centers(candidates, options.k, options.init_mode, options.seed)
    return Vocabulary(round_centers(chosen, chosen.dtype), chosen.dtype)


def word_rows(spark: SparkSession, final: KMeansState) -> DataFrame:
    """Make the table of a trained dictionary.

    Parameters
    ----------
    spark : SparkSession
    final : KMeansState

    Returns
    -------
    DataFrame
        With the schema of `KMEANS_DICTIONARY`, one row per word.
    """
    words = pd.DataFrame(
        {
            "wordId": np.arange(len(final.vocabulary), dtype=np.int32),
            "center": list(final.vocabulary.centers.astype(np.float32)),
            "descriptorCount": final.statistics.counts,
            "inertia": final.inertia,
        }
    )
    return spark.createDataFrame(words, KMEANS_DICTIONARY.schema).coalesce(1)
