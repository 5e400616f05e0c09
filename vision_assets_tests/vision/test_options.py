import pickle
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pytest

from vision_assets.vision.options import Options, option


@dataclass(frozen=True)
class Some(Options):
    """Options of every kind."""

    count: int = option(3, "How many.", ge=1, le=9)
    share: float = option(0.5, "What share.", gt=0, le=1)
    limit: int | None = option(None, "At most this many; null for all.", ge=1)
    name: str = option("a", "What it is called.", min_length=1)
    names: tuple[str, ...] = option(("a", "b"), "What they are called.", min_length=2)
    mode: Literal["fast", "exact"] = option("exact", "How.")
    again: bool = option(default=False, description="Whether to do it again.")


def test_the_metadata_has_the_description_and_the_bounds_that_are_given() -> None:
    metadata = {each.name: dict(each.metadata) for each in fields(Some)}
    assert metadata["count"] == {"description": "How many.", "ge": 1, "le": 9}
    assert metadata["share"] == {"description": "What share.", "gt": 0, "le": 1}
    assert metadata["names"] == {"description": "What they are called.", "min_length": 2}
    assert metadata["mode"] == {"description": "How."}


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"count": 9, "share": 1},
        {"count": np.int64(4), "share": np.float32(0.25)},
        {"limit": 1, "name": "é", "names": ("a", "b", "c"), "mode": "fast", "again": True},
    ],
)
def test_values_in_range_are_kept(fine: dict[str, Any]) -> None:
    options = Some(**fine)
    assert all(getattr(options, name) == value for name, value in fine.items())
    assert pickle.loads(pickle.dumps(options)) == options


def test_a_list_becomes_a_tuple() -> None:
    options = Some.from_config({"names": ["x", "y"]})
    assert options.names == ("x", "y")
    assert hash(options) == hash(Some(names=("x", "y")))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, "count must be at least 1, but is 0"),
        ({"count": 10}, "count must be at most 9, but is 10"),
        ({"count": 2.5}, "count must be a whole number, but is 2.5"),
        ({"count": True}, "count must be a whole number, but is True"),
        ({"count": None}, "count must be a whole number, but is None"),
        ({"share": 0.0}, "share must be more than 0, but is 0.0"),
        ({"share": float("nan")}, "share must be finite, but is nan"),
        ({"share": "much"}, "share must be a number, but is 'much'"),
        ({"limit": 0}, "limit must be at least 1 or None, but is 0"),
        ({"limit": "x"}, "limit must be a whole number or None, but is 'x'"),
        ({"name": ""}, "name must be of length at least 1, but is ''"),
        ({"name": 3}, "name must be a text, but is 3"),
        ({"names": ["a"]}, "names must be of length at least 2, but is ('a',)"),
        ({"names": "ab"}, "names must be a list of texts, but is 'ab'"),
        ({"names": ["a", 1]}, "names must be a list of texts, but is ('a', 1)"),
        ({"mode": "slow"}, "mode must be one of fast, exact, but is 'slow'"),
        ({"again": 1}, "again must be true or false, but is 1"),
    ],
)
def test_the_error_names_field_range_and_value(wrong: dict[str, Any], message: str) -> None:
    for make in (lambda: Some(**wrong), lambda: Some.from_config(wrong)):
        with pytest.raises(ValueError, match="must be") as error:
            make()
        assert str(error.value) == message


def test_a_configuration_may_have_other_keys() -> None:
    assert Some.from_config({"count": 4, "partitions": 7, "full_refresh": True}) == Some(count=4)
    assert Some.from_config({}) == Some()


@pytest.mark.parametrize("annotation", [dict[str, int], list[int], int | str, bytes])
def test_a_field_of_an_unsupported_type_is_an_error(annotation: Any) -> None:
    fields_ = {"__annotations__": {"odd": annotation}, "odd": option(1, "Odd.")}
    kind: Any = dataclass(frozen=True)(type("Odd", (Options,), fields_))
    with pytest.raises(TypeError, match="options do not support the type"):
        kind()
