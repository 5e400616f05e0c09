"""Collections: data sets side by side, each with its own source, settings and tables.

A project file, YAML, holds the source of a collection and the settings that differ from the defaults::

    source: ~/pictures/flowers
    kmeans_dictionary:
      k: 300

The collection without a name has `vision_assets.yaml`, if that file exists. Each file of the folder
`collections` beside it is one more collection, which has the file's name.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vision_assets import settings
from vision_assets.errors import UnknownNameError, UserError
from vision_assets.uris import is_uri, local_path

SOURCE = "source"
"""Key of the source in a project file; the other keys are names of assets."""

_PATHS = (SOURCE, "labels")
"""Options that are paths, relative to the project file."""

DEFAULT_LOCATION = "vision_assets"
"""Code location of the collection without a name, also in workspace.yaml and pyproject.toml."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_SUFFIX = ".yaml"
_OTHER_SUFFIX = ".yml"
_FOLDER = "collections"  # in the data folder, as `vision_assets.snapshots.layout` says

AssetSettings = Mapping[str, Mapping[str, Any]]
"""Name of an asset to name of an option to value."""


@dataclass(frozen=True)
class Collection:
    """A data set.

    Parameters
    ----------
    name : str
        Empty for the collection without a name.
    data : str
        Folder or URI of its tables.
    file : Path, optional
        Its project file; None if there is none.
    source_in_file : str
        Source that the project file names; empty if it names none.
    settings : mapping
        Asset to option to value: what the project file sets.
    """

    name: str
    data: str
    file: Path | None = None
    source_in_file: str = ""
    settings: AssetSettings = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Folder, archive or URI of the images; empty if none is named.

        For the collection without a name, VISION_ASSETS_SOURCE comes before the project file.
        """
        return (settings.source() if not self.name else "") or self.source_in_file

    @property
    def location(self) -> str:
        """Name of the code location in Dagster."""
        return self.name or DEFAULT_LOCATION

    def key(self, asset: str) -> tuple[str, ...]:
        """Return the parts of an asset's key in Dagster."""
        return (self.name, asset) if self.name else (asset,)


def collection_names() -> list[str]:
    """Return the names of the collections that have one.

    Raises
    ------
    UserError
        If the name of a project file cannot be part of an asset's key.
    """
    folder = settings.collections_folder()
    for file in folder.glob(f"*{_OTHER_SUFFIX}"):
        raise UserError(f"{file} is not read: project files end in {_SUFFIX}. Rename the file.")
    files = sorted(folder.glob(f"*{_SUFFIX}"))
    for file in files:
        if not _NAME.fullmatch(file.stem):
            raise UserError(
                f"{file} cannot be a collection: its name may have letters, digits and underscores, and has "
                "to begin with a letter. Rename the file."
            )
    return [file.stem for file in files]


def has_collection(name: str) -> bool:
    """Tell whether there is a collection of a name, whatever other files the folder has."""
    return bool(_NAME.fullmatch(name)) and (settings.collections_folder() / f"{name}{_SUFFIX}").is_file()


def open_collection(name: str = "") -> Collection:
    """Return a collection.

    Parameters
    ----------
    name : str
        Empty for the collection without a name.

    Raises
    ------
    UserError
        If there is no collection of that name, or its project file cannot be read.
    """
    data = data_of(name)
    if name:
        return read_project_file(settings.collections_folder() / f"{name}{_SUFFIX}", name, data)
    file = settings.project_file()
    if settings.names_project_file() or file.exists():
        return read_project_file(file, data=data)
    if (other := file.with_suffix(_OTHER_SUFFIX)).exists():
        raise UserError(f"{other} is not read: the project file is {file.name}. Rename the file.")
    return Collection(name, data)


def data_of(name: str) -> str:
    """Return the folder or URI of a collection's tables. Its project file is not read.

    Raises
    ------
    UserError
        If there is no collection of that name.
    """
    data = settings.data_folder()
    if not name:
        return data
    if not has_collection(name):
        names, folder = collection_names(), settings.collections_folder()
        raise UnknownNameError(
            "collection", name, names, "" if names else f"{folder} has no file {name}{_SUFFIX}."
        )
    return f"{data.rstrip('/')}/{_FOLDER}/{name}"


def settings_of(run_config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a run configuration of Dagster sets: asset to option to value."""
    ops = run_config.get("ops") or {}
    return {asset: dict((op or {}).get("config") or {}) for asset, op in ops.items()}


def merge_settings(first: AssetSettings, second: AssetSettings) -> dict[str, dict[str, Any]]:
    """Return the settings of both; those of the second win."""
    return {asset: {**first.get(asset, {}), **second.get(asset, {})} for asset in [*first, *second]}


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which YAML would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for number, key in enumerate(keys) if key in keys[:number]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path, what: str) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    file : Path
    what : str
        What the file should be, for messages.

    Raises
    ------
    UserError
        If it cannot be read, or is no YAML.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())  # YAML's errors have several lines
        raise UserError(f"{file} is not {what}: {why}") from error


def read_project_file(file: Path, name: str = "", data: str = "") -> Collection:
    """Read the project file of a collection.

    Parameters
    ----------
    file : Path
    name : str
        Name of the collection; empty for the one without a name.
    data : str
        Folder or URI of its tables.

    Raises
    ------
    UserError
        If the file cannot be read, or is no project file. Its settings are not checked.
    """
    content = read_yaml(file, "a project file") or {}
    if not isinstance(content, dict) or not all(
        isinstance(options or {}, dict) for asset, options in content.items() if asset != SOURCE
    ):
        raise UserError(
            f"{file} is not a project file: it has `source:` and names of assets, each with its settings "
            "below it, such as `k: 300` below `kmeans_dictionary:`."
        )
    source = content.pop(SOURCE, None) or ""
    if not isinstance(source, str):
        raise UserError(f"{file}: source must be a text, but is {source!r}.")
    of_assets = {str(asset): dict(options or {}) for asset, options in content.items()}
    for options in of_assets.values():
        options |= {
            name: _beside(file, options[name]) for name in _PATHS if isinstance(options.get(name), str)
        }
    return Collection(name, data, file.absolute(), _beside(file, source), of_assets)


def _beside(file: Path, source: str) -> str:
    """Return a source that is relative to the project file as an absolute path."""
    if not source or is_uri(source):
        return source
    stands_alone = source.startswith(("~", "/"))
    path = local_path(source if stands_alone else str(file.absolute().parent / source))
    return os.path.normpath(str(path))
