"""What the settings of all assets have in common."""

from typing import Any

import dagster as dg
from pydantic import ValidationError

FULL_REFRESH = "Make every row anew, also of images that have not changed since the last run."


class AssetConfig(dg.Config):
    """Base of the configurations of assets: one that is out of its range ends the run at once."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc']))} = {each['input']!r}: {each['msg']}"
                for each in error.errors()
            )
            # Dagster would try again with the same settings.
            raise dg.Failure(f"The configuration is wrong: {wrong}.", allow_retries=False) from None
