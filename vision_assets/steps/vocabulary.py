"""The vocabulary of a stored dictionary, to assign descriptors to its words, with Spark or without."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets.vision.vocabulary.fixed_point import UINT8

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def vocabulary_of(dictionary: pa.Table, dtype: np.dtype = UINT8) -> Vocabulary:
    """Return the vocabulary in a table of a dictionary.

    Parameters
    ----------
    dictionary : pyarrow.Table
        Columns ``wordId`` and ``center``, one row per word, in any order.
    dtype : dtype
        Type of the descriptors: uint8 or float32.

    Returns
    -------
    Vocabulary
        In the order of the words.
    """
    column = dictionary.sort_by("wordId").column("center")
    values = column.combine_chunks().flatten().to_numpy().astype(np.float64)
    return Vocabulary(values.reshape(len(column), -1), dtype)


def load_vocabulary(dictionary: "DataFrame", dtype: np.dtype = UINT8) -> Vocabulary:
    """Bring the vocabulary of a stored dictionary to the driver.

    Parameters
    ----------
    dictionary : DataFrame
        Columns ``wordId`` and ``center``, one row per word.
    dtype : dtype
        Type of the descriptors: uint8 or float32.

    Returns
    -------
    Vocabulary
        In the order of the words.
    """
    return vocabulary_of(dictionary.select("wordId", "center").toArrow(), dtype)
