"""The one declaration of each asset: tables, checks, pictures, resources and the console derive from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from vision_assets.pipelines import Step
from vision_assets.snapshots.store import Snapshot
from vision_assets.tables.table import Table
from vision_assets.vision.draw import Picture
from vision_assets.vision.options import Options

Storage = Literal["parquet", "sequence_file", "classifier"]
"""How a table is stored: names of the IO managers."""


class TableWithLineage(Protocol):
    """A stored table and those that it was made from, as `StoredTable` in `stored_tables.py` is one."""

    @property
    def spark(self) -> SparkSession:
        """The session that reads the table."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot of the table."""

    @property
    def asset(self) -> str:
        """Name of the asset."""

    @property
    def uri(self) -> str:
        """Folder of the table as a URI for Spark."""

    @property
    def rows(self) -> DataFrame:
        """The table as a DataFrame, not yet computed."""

    def upstream(self, asset: str) -> "TableWithLineage":
        """Return the table of another asset that this one was made from, directly or not."""


@dataclass(frozen=True)
class StepSpec:
    """All that is declared about an asset.

    Parameters
    ----------
    step : Step
        Its name, kind and inputs.
    table : Table
        Its columns, counts and invariants.
    description : str
        For users, in Markdown.
    options : tuple of type of Options
        What can be set, in the order of the Launchpad.
    storage : {"parquet", "sequence_file", "classifier"}
    badges : frozenset of str
        Tools that Dagster's UI shows on the asset.
    code_version : str
        Changes when the same settings and inputs give another table.
    shown_schema : StructType, optional
        Columns that Dagster's UI shows in place of the table's.
    draw : callable, optional
        Draws pictures of a stored table: returns their names and themselves.
    summarize : callable, optional
        Takes the table's counts, returns a sentence for ``vision-assets summary``.
    warn : callable
        Takes the table's counts, returns what a run and ``vision-assets summary`` warn of; empty if nothing.
    needs_labels : bool
        Whether the asset is skipped where images have fewer than two labels.
    headline : tuple of str
        Names of the figures that Dagster's UI shows first, even before the pictures.
    """

    step: Step
    table: Table
    description: str
    options: tuple[type[Options], ...] = ()
    storage: Storage = "parquet"
    badges: frozenset[str] = frozenset({"pyspark", "numpy", "parquet"})
    code_version: str = "1"
    shown_schema: StructType | None = None
    draw: Callable[[TableWithLineage], Mapping[str, Picture]] | None = None
    summarize: Callable[[Mapping[str, float]], str] | None = None
    warn: Callable[[Mapping[str, float]], str] = lambda _: ""
    needs_labels: bool = False
    headline: tuple[str, ...] = ()

    @property
    def asset(self) -> str:
        """Name of the asset."""
        return self.step.asset

    def table_settings(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that the table depends on: without those that concern the run alone."""
        of_the_run = {
            each.name
            for options in self.options
            for each in fields(options)
            if not each.metadata.get("changes_table", True)
        }
        return {name: value for name, value in config.items() if name not in of_the_run}

    @property
    def schema(self) -> StructType:
        """Columns that Dagster's UI shows."""
        return self.shown_schema or self.table.schema


@dataclass(frozen=True)
class NewTable:
    """What a step has made and is to be stored, and what it was made from.

    Parameters
    ----------
    content : DataFrame, PerImageTable, ImageFiles or Classifier
        Whatever the IO manager of the asset stores.
    inputs : tuple of TableWithLineage
        The tables that were read.
    counts : mapping
        Figures besides those that the declaration of the table counts.
    metadata : mapping
        Name to what Dagster's UI shows of it besides the table's counts: figures, texts, pictures.
    fingerprint : str
        As in `Snapshot`; empty if the table is made again in each run.
    """

    content: Any
    inputs: tuple[TableWithLineage, ...] = field(default=())
    counts: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
