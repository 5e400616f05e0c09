"""Options as dataclasses whose fields say what they mean and what they may be."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most"}
"""Names of bounds, as Pydantic's fields have them, and how they are told."""


def option(
    default: _T,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
) -> _T:
    """Make a field of a dataclass that is derived from `Options`.

    Parameters
    ----------
    default : object
    description : str
        For users.
    ge, gt, le : float, optional
        The value must be at least, more than, at most this; None is passed over.
    """
    bounds = {"ge": ge, "gt": gt, "le": le}
    metadata = {"description": description, **{name: at for name, at in bounds.items() if at is not None}}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """Base of dataclasses of options.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            if get_origin(types[each.name]) is Literal and value not in get_args(types[each.name]):
                raise ValueError(f"{each.name} must be one of {get_args(types[each.name])}, but is {value}")
            if wrong := out_of_range(value, each.metadata):
                raise ValueError(f"{each.name} must be {wrong}, but is {value}")


def out_of_range(value: Any, bounds: Any) -> str:
    """Return what a value must be but is not; empty if it is fine."""
    if not isinstance(value, int | float):
        return ""
    if not math.isfinite(value):
        return "finite"
    holds = {
        "ge": lambda bound: value >= bound,
        "gt": lambda bound: value > bound,
        "le": lambda bound: value <= bound,
    }
    return next(
        (
            f"{told} {bounds[name]}"
            for name, told in BOUNDS.items()
            if name in bounds and not holds[name](bounds[name])
        ),
        "",
    )
