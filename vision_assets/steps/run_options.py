"""Options that concern a run, not what a row contains."""

from dataclasses import dataclass

from vision_assets.vision.options import Options, option

PER_RUN = frozenset({"source", "replace_source", "full_refresh", "partitions", "reader"})
"""Names of options that say where a run reads and how it works, not what a row contains."""


@dataclass(frozen=True)
class RefreshOptions(Options):
    """Whether stored rows are reused."""

    full_refresh: bool = option(
        default=False,
        description="Recompute every row, including those of unchanged images.",
        concerns_run=True,
    )
