"""The columns of a table, as Dagster shows them."""

from typing import Any

import dagster as dg
from pyspark.sql.types import StructType


def definition_metadata(schema: StructType) -> dict[str, Any]:
    """Return the definition metadata of an asset: the columns of its table.

    Parameters
    ----------
    schema : StructType

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
        for column in schema
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}
