"""What Dagster shows of a table before and after it exists."""

from typing import Any

import dagster as dg

from vision_assets.spark.tables import TABLES


def definition_metadata(*asset: str) -> dict[str, Any]:
    """Return the definition metadata of an asset: the columns of its table.

    Parameters
    ----------
    *asset : str
        Asset key.

    Returns
    -------
    dict
    """
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.dataType.simpleString(),
            description=column.metadata["comment"],
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in TABLES[asset].schema
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}
