"""The Java libraries of servers, fetched once."""

from collections.abc import Sequence
from pathlib import Path

from vision_assets import settings
from vision_assets.spark.connectors import fetched


def server_jars(name: str, coordinates: Sequence[str], excluded: Sequence[str] = ()) -> Path:
    """Return the folder with the jars of a server; fetch them if there is none.

    Parameters
    ----------
    name : str
        The server's name.
    coordinates : sequence of str
        Maven coordinates.
    excluded : sequence of str
        Group and artifact of what they depend on but the server does not need.

    Raises
    ------
    UserError
        If they cannot be fetched.
    """
    return fetched(settings.jars_folder() / "servers", name, coordinates, excluded)
