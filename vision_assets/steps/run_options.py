"""Options that concern a run, not what a table contains."""

from dataclasses import dataclass
from typing import Literal

from vision_assets.vision.options import Options, option

PER_RUN = frozenset({"source", "replace_source", "full_refresh", "partitions", "reader"})
"""Names of options that say where a run reads and how it works, not what a row contains."""


@dataclass(frozen=True)
class RefreshOptions(Options):
    """Whether a table is made again, and its stored rows are reused."""

    full_refresh: bool = option(
        default=False,
        description="Make the table again, with every row, although settings and inputs are unchanged.",
        changes_table=False,
    )


@dataclass(frozen=True)
class RetrainOptions(Options):
    """When something is trained again."""

    retrain: Literal["always", "when_changed", "never"] = option(
        "when_changed",
        "`always` trains in every run; `when_changed` trains if settings or inputs have changed; `never` "
        "keeps what is stored, whatever has changed. `full_refresh` trains in any case.",
        changes_table=False,
    )
