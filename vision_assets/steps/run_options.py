"""Options that concern a run, not what a row contains."""

from dataclasses import dataclass

from vision_assets.vision.options import Options, option


@dataclass(frozen=True)
class RefreshOptions(Options):
    """Whether stored rows are reused."""

    full_refresh: bool = option(
        default=False,
        description="Recompute every row, including those of unchanged images.",
        concerns_run=True,
    )
