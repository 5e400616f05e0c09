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
        From `vision_assets.steps.classifier.predict`.
    labels : sequence of str
        The classes in order.

    Returns
    -------
    Picture
    """
    by_class: dict[int, dict[bool, Row]] = {}
    for row in surest_predictions(predictions, sample.names):
        by_class.setdefault(row.target, {})[row.right] = row
    # Classes that have both say more.
    both = [target for target, rows in by_class.items() if len(rows) == 2]
    others = [target for target, rows in by_class.items() if len(rows) < 2]
    shown = evenly_spaced(sorted(both), _EXAMPLE_CLASSES)
    shown += evenly_spaced(sorted(others), _EXAMPLE_CLASSES - len(shown))
    previews = load_previews(sample, [row.fileName for target in shown for row in by_class[target].values()])

    def example(target: int, *, right: bool) -> Example | None:
        row = by_class[target].get(right)
        if row is None or row.fileName not in previews:
            return None
        said = "" if right else f"said {labels[row.predicted]}, "
        return Example(previews[row.fileName], f"{said}{row.probability:.2f}")

    return surest_sheet(
        [
            (labels[target], example(target, right=True), example(target, right=False))
            for target in sorted(shown)
        ]
    )


def surest_predictions(predictions: DataFrame, names: Sequence[str]) -> list[Row]:
    """Find, for each class, the surest right and the surest wrong prediction of all splits.

    Parameters
    ----------
    predictions : DataFrame
        From `vision_assets.steps.classifier.predict`.
    names : sequence of str
        File names of the images to choose from.

    Returns
    -------
    list of Row
        Fields ``target``, ``right`` (whether it is), ``probability``, ``fileName``, ``predicted``.
    """
    images = predictions.sparkSession.createDataFrame([(name,) for name in names], "fileName string")
    chosen = predictions.join(F.broadcast(images), "fileName")
    right = (F.col("target") == F.col("predicted")).alias("right")
    # The name decides between equal ones.
    surest = F.max(F.struct("probability", "fileName", "predicted")).alias("surest")
    rows = chosen.groupBy("target", right).agg(surest).select("target", "right", "surest.*")
    return rows.orderBy("target", "right").collect()
