"""The description of a stored table: its columns, what is counted in it, and what must hold for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyspark.sql.types import StructType

UNIQUE_KEYS = "unique_keys"
SAME_KEYS = "same_keys_as_upstream"
SAME_IMAGES = "same_images_as_upstream"
AS_MANY_ROWS = "k_centers"


class Count(NamedTuple):
    """A number that users want to know about a table.

    Attributes
    ----------
    sql : str
        SQL aggregate over the rows.
    merge : callable
        Combines the numbers of several parts of the table into one: `sum`, `max` or `min`.
    distinct : bool
        Whether distinct values are counted. Spark does so only once the rows are stored, and the numbers of
        parts cannot be combined.
    """

    sql: str
    merge: Callable[[Iterable[Any]], Any] = sum
    distinct: bool = False


class Invariant(NamedTuple):
    """What must hold for every stored table.

    Attributes
    ----------
    sql : str
        SQL aggregate over the rows; true if the invariant holds.
    text : str
        The same as a sentence, for users.
    """

    sql: str
    text: str


@dataclass(frozen=True)
class Table:
    """What is known about a table before it exists.

    Parameters
    ----------
    schema : StructType
    key : str
        SQL of what is unique in each row: a column, or a struct of several.
    row_noun : str
        What a row stands for, in the plural.
    counts : mapping
        Name to `Count`.
    invariants : mapping
        Name to `Invariant`.
    same_keys_as : str, optional
        The upstream asset for each of whose keys there is exactly one row.
    rows_setting : str, optional
        The setting that says how many rows there must be.
    is_per_image : bool
        Whether each row belongs to an image, identified by the columns ``fileName`` and ``digest``.
    computed : str
        What is done to an image to make its row, for the metadata: ``extracted``.
    content : str, optional
        SQL of what can differ in a row although settings and inputs are the same: an extraction that ran out
        of memory gives a row with an error, another processor gives other last bits of a centre.
    content_is_all : bool
        Whether `content` is everything in a row, so that equal rows are equal tables whatever they were made
        from.
    sorted_by : str, optional
        Column by which the rows of a file are sorted, in small row groups, so that a range of its values is
        read alone.
    looked_up_by : str, optional
        Column with a Bloom filter in each row group, because some rows are looked up by it, but rows are not
        in its order.
    """

    schema: StructType
    key: str
    row_noun: str
    counts: Mapping[str, Count] = field(default_factory=dict)
    invariants: Mapping[str, Invariant] = field(default_factory=dict)
    same_keys_as: str | None = None
    rows_setting: str | None = None
    is_per_image: bool = False
    computed: str = "computed"
    content: str | None = None
    content_is_all: bool = False
    sorted_by: str | None = None
    looked_up_by: str | None = None

    @property
    def holds_images(self) -> bool:
        """Whether the table lists the images themselves, so that its content follows from no other table."""
        return self.is_per_image and not self.same_keys_as

    @property
    def is_counted_while_written(self) -> bool:
        """Whether counts and invariants can be evaluated while the rows are written."""
        return not any(count.distinct for count in self.counts.values())

    @property
    def checks(self) -> Mapping[str, str]:
        """Name of each check of the table to its text for users."""
        checks = {UNIQUE_KEYS: "No two rows have the same key."}
        checks |= {name: invariant.text for name, invariant in self.invariants.items()}
        if self.same_keys_as:
            checks[SAME_KEYS] = "Every key of the upstream table has exactly one row."
            if self.is_per_image:
                checks[SAME_IMAGES] = "Every image has the digest that the upstream table has for it."
        if self.rows_setting:
            checks[AS_MANY_ROWS] = f"There are as many {self.row_noun} as {self.rows_setting} says."
        return checks
