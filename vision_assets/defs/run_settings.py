"""The settings of a run: checked before its first step, and compared with the project file."""

from collections.abc import Callable, Mapping
from typing import Any

from vision_assets.collection import Collection, merge_settings, settings_of
from vision_assets.errors import UserError
from vision_assets.steps.settings_check import find_faults


def check_settings(
    run_config: Mapping[str, Any], collection: Collection, log: Callable[[str], object]
) -> None:
    """Check the settings of a run, and say where they differ from the project file.

    Parameters
    ----------
    run_config : mapping
    collection : Collection
    log : callable
        Takes a line.

    Raises
    ------
    UserError
        If a setting is unknown or its value is wrong.
    """
    given = settings_of(run_config)
    if faults := find_faults(merge_settings(collection.settings, given), collection.source):
        raise UserError(" ".join(faults))
    differing = [
        f"{asset}.{name} = {value!r} (file: {collection.settings[asset][name]!r})"
        for asset, options in given.items()
        for name, value in options.items()
        if name in collection.settings.get(asset, {}) and collection.settings[asset][name] != value
    ]
    if differing:
        log(f"This run's own settings replace those of {collection.file}: {', '.join(differing)}")
