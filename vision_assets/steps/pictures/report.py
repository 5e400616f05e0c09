"""Pictures of a classifier's predictions."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.steps.pictures.previews import load_previews
from vision_assets.steps.pictures.sample import ImageSample, evenly_spaced
from vision_assets.vision.draw import Example, Picture, surest_sheet

_EXAMPLE_CLASSES = 8


def draw_examples(sample: ImageSample, predictions: DataFrame, labels: Sequence[str]) -> Picture:
    """Draw the surest right and the surest wrong images of some classes.

    Parameters
    ----------
    sample : ImageSample
    predictions : DataFrame
        With the schema of `vision_assets.steps.predictions.IMAGE_PREDICTIONS`.
    labels : sequence of str
        Classes that the classifier knows; images of other classes are left out.

    Returns
    -------
    Picture
    """
    by_class: dict[str, dict[bool, Row]] = {}
    for row in surest_predictions(predictions.where(F.col("label").isin(*labels)), sample.names):
        by_class.setdefault(row.label, {})[row.correct] = row
    # Classes that have both say more.
    both = [label for label, rows in by_class.items() if len(rows) == 2]
    others = [label for label, rows in by_class.items() if len(rows) < 2]
    shown = evenly_spaced(sorted(both), _EXAMPLE_CLASSES)
    shown += evenly_spaced(sorted(others), _EXAMPLE_CLASSES - len(shown))
    previews = load_previews(sample, [row.fileName for label in shown for row in by_class[label].values()])

    def example(label: str, *, correct: bool) -> Example | None:
        row = by_class[label].get(correct)
        if row is None or row.fileName not in previews:
            return None
        said = "" if correct else f"said {row.predicted}, "
        return Example(previews[row.fileName], f"{said}{row.score:.2f}", row.fileName)

    return surest_sheet(
        [(label, example(label, correct=True), example(label, correct=False)) for label in sorted(shown)]
    )


def surest_predictions(predictions: DataFrame, names: Sequence[str]) -> list[Row]:
    """Find, for each class, the surest right and the surest wrong prediction of all splits.

    Parameters
    ----------
    predictions : DataFrame
        With the schema of `vision_assets.steps.predictions.IMAGE_PREDICTIONS`.
    names : sequence of str
        File names of the images to choose from.

    Returns
    -------
    list of Row
        Fields ``label``, ``correct``, ``score``, ``fileName``, ``predicted``.
    """
    images = predictions.sparkSession.createDataFrame([(name,) for name in names], "fileName string")
    chosen = predictions.join(F.broadcast(images), "fileName")
    # The name decides between equal ones.
    surest = F.max(F.struct("score", "fileName", "predicted")).alias("surest")
    rows = chosen.groupBy("label", "correct").agg(surest).select("label", "correct", "surest.*")
    return sorted(rows.collect())
