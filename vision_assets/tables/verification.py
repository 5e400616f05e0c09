"""Counting a table, fingerprinting its keys, and evaluating what must hold for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812 - the name that all of PySpark's documentation uses

from vision_assets.tables.table import AS_MANY_ROWS, SAME_IMAGES, SAME_KEYS, UNIQUE_KEYS, Table


class Fingerprints(Protocol):
    """Fingerprints of a stored table, for comparisons without reading it."""

    @property
    def keys(self) -> str:
        """Fingerprint of the set of keys: two tables with the same keys have the same one."""

    @property
    def images(self) -> str:
        """Fingerprint of names and digests; empty if an earlier release stored the table."""


@dataclass(frozen=True)
class Summary:
    """What was counted and found in a stored table.

    Parameters
    ----------
    rows : int
    keys : str
        Fingerprint of the set of keys: two tables with the same keys have the same one.
    counts : dict
    check_results : dict
        Name of a check to whether it holds.
    images : str
        Fingerprint of names and digests, for a table of images: equal for the same images.
    content : str
        Fingerprint of the values of `Table.content`; empty if the table has none.
    """

    rows: int
    keys: str
    counts: dict[str, int | float]
    check_results: dict[str, bool]
    images: str = ""
    content: str = ""


def observe(table: Table, rows: DataFrame) -> tuple[DataFrame, Observation]:
    """Evaluate a table's counts and invariants while its rows are computed, for `summarize`.

    Parameters
    ----------
    table : Table
    rows : DataFrame

    Returns
    -------
    DataFrame
        The same rows.
    Observation
        What was found; waits until they have been computed.
    """
    observation = Observation()
    values = _aggregates(table)
    return rows.observe(observation, *(F.expr(sql).alias(name) for name, sql in values.items())), observation


def summarize(
    table: Table,
    rows: DataFrame,
    upstream: Fingerprints | None = None,
    config: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
) -> Summary:
    """Count a stored table, fingerprint its keys and evaluate its invariants, in one pass.

    Parameters
    ----------
    table : Table
    rows : DataFrame
    upstream : Fingerprints, optional
        Fingerprints of the table that `Table.same_keys_as` names.
    config : mapping, optional
        Settings of the run that made the table.
    observed : mapping, optional
        Counts and invariants found by `observe` while the rows were written. With it only keys, digests
        and content are read.

    Returns
    -------
    Summary
    """
    key = F.expr(table.key)
    has_digests = table.is_per_image and "digest" in rows.columns  # encodings of earlier releases have none
    values = {} if observed is not None else _aggregates(table)
    result: Any = rows.agg(
        F.count("*"),
        F.count_distinct(key),
        _fingerprint(key),
        _fingerprint(F.expr("struct(fileName, digest)" if has_digests else "0")),
        _fingerprint(F.expr(table.content or "0")),
        *map(F.expr, values.values()),
    ).head()
    count, distinct, key_hash, image_hash, content_hash, *found_values = result
    found = dict(zip(values, found_values, strict=True)) if observed is None else observed
    keys = f"{count}:{key_hash or 0}"
    images = f"{count}:{image_hash or 0}" if has_digests else ""
    results = {UNIQUE_KEYS: distinct == count}
    # An aggregate over no rows is null, and an invariant of every row holds for an empty table.
    results |= {name: found[name] is None or bool(found[name]) for name in table.invariants}
    if upstream:
        results[SAME_KEYS] = keys == upstream.keys
        if table.is_per_image:
            results[SAME_IMAGES] = images == (upstream.images or images)
    if table.rows_setting:
        results[AS_MANY_ROWS] = count == (config or {}).get(table.rows_setting, count)
    counts = {name: found[name] or 0 for name in table.counts}
    return Summary(count, keys, counts, results, images, f"{content_hash or 0}" if table.content else "")


def _aggregates(table: Table, *, with_invariants: bool = True) -> dict[str, str]:
    """Return the SQL of counts and invariants by their names."""
    counts = {name: count.sql for name, count in table.counts.items()}
    invariants = {name: invariant.sql for name, invariant in table.invariants.items()}
    return counts | invariants if with_invariants else counts


def _fingerprint(value: Column) -> Column:
    return F.sum(F.xxhash64(value).cast("decimal(38,0)"))


def count(table: Table, rows: DataFrame, *, sound: bool) -> dict[str, Any]:
    """Evaluate a table's counts on some of its rows, and its invariants unless they are known to hold.

    Parameters
    ----------
    table : Table
    rows : DataFrame
    sound : bool
        Whether the rows come from a table whose invariants were found to hold.

    Returns
    -------
    dict
        As `observe` finds it.
    """
    values = _aggregates(table, with_invariants=not sound)
    found: Any = rows.agg(*(F.expr(sql).alias(name) for name, sql in values.items())).head()
    return dict(found.asDict())


def add_up(table: Table, pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine what was found in parts of a table; each row belongs to one part.

    Parameters
    ----------
    table : Table
    pieces : sequence of mapping
        Counts and invariants that `observe` or `count` have found; an invariant that is not there holds.

    Returns
    -------
    dict
        As if all rows had been observed.
    """
    total: dict[str, Any] = {}
    for name, counted in table.counts.items():
        values = [piece[name] for piece in pieces if piece[name] is not None]
        total[name] = counted.merge(values) if values else 0
    for name in table.invariants:
        total[name] = all(piece.get(name) is not False for piece in pieces)
    return total


def duplicate_keys(table: Table, rows: DataFrame, limit: int = 3) -> list[str]:
    """Return some keys that more than one row has."""
    duplicates = (
        rows.groupBy(F.expr(table.key).alias("key")).count().where("count > 1").orderBy("key").limit(limit)
    )
    return [str(row[0]) for row in duplicates.collect()]


def changed_images(index: DataFrame, features: DataFrame, limit: int = 3) -> list[tuple[str, str]]:
    """Return name and part file of some stored images whose bytes have changed since they were stored."""
    read = features.select("fileName", F.col("digest").alias("read"))
    changed = index.join(read, "fileName").where("digest <> read").orderBy("part", "fileName")
    return [(row.fileName, row.part) for row in changed.limit(limit).collect()]
