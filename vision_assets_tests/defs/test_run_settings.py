"""Settings of a run are checked before its first step, and compared with the project file."""

import pytest

from vision_assets.collection import Collection
from vision_assets.defs.run_settings import check_settings
from vision_assets.errors import UserError


def run_config(asset: str, **options: object) -> dict[str, object]:
    return {"ops": {asset: {"config": options}}}


def test_settings_that_replace_the_files_are_named() -> None:
    collection = Collection("", "data", settings={"kmeans_dictionary": {"k": 300, "seed": 1}})
    lines: list[str] = []
    check_settings(run_config("kmeans_dictionary", k=500, seed=1, max_iter=5), collection, lines.append)
    (line,) = lines
    assert line.endswith(": kmeans_dictionary.k = 500 (file: 300)")
    check_settings({}, collection, lines.append)
    assert len(lines) == 1


def test_wrong_settings_end_a_run() -> None:
    with pytest.raises(UserError, match=r"kmeans_dictionary\.k must be at least 1, but is 0"):
        check_settings(run_config("kmeans_dictionary", k=0), Collection("", "data"), print)
