"""Options as dataclasses: each field has a description, a type and a range, declared once."""

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "min_length": "of length at least"}
"""Keys of the bounds in a field's metadata, which are also Pydantic's names, and how messages put them."""

_WITHIN = {
    "ge": lambda value, bound: value >= bound,
    "gt": lambda value, bound: value > bound,
    "le": lambda value, bound: value <= bound,
    "min_length": lambda value, bound: len(value) >= bound,
}


def option(
    default: _T,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    changes_table: bool = True,
) -> _T:
    """Declare a field of a dataclass that is derived from `Options`.

    Parameters
    ----------
    default : object
        The default value.
    description : str
        What the field means, for users.
    ge, gt, le : float, optional
        The value must be at least, more than, at most this.
    min_length : int, optional
        A text or tuple must have at least this length.
    changes_table : bool
        Whether a table depends on it. An option of the run alone, such as a number of partitions, is no
        reason to make a table again.

    Returns
    -------
    dataclasses.Field
        Its metadata has the key ``description``, a key for each bound that is given, and ``changes_table`` if
        that is false. The declared type is that of `default`, so that type checkers accept the field.
    """
    bounds = {"ge": ge, "gt": gt, "le": le, "min_length": min_length}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    of_the_run = {} if changes_table else {"changes_table": False}
    return field(default=default, metadata={"description": description, **given, **of_the_run})


@dataclass(frozen=True)
class Options:
    """Base of the dataclasses of options.

    A field has one of the types ``int``, ``float``, ``bool``, ``str``, ``tuple[str, ...]`` and ``Literal``,
    or one of them ``| None``. A list of texts is turned into a tuple.

    Raises
    ------
    ValueError
        If a value has another type than its field or is out of range. The message names the field, what it
        must be and the value.
    TypeError
        If a field has a type that options do not support.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class GridOptions(Options):
    ...     step: int = option(8, "Pixels between points.", ge=1)
    >>> GridOptions.from_config({"step": 4, "other": True})
    GridOptions(step=4)
    >>> GridOptions(step=0)
    Traceback (most recent call last):
        ...
    ValueError: step must be at least 1, but is 0
    """

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, each.name, value)
            if expected := _violated(value, types[each.name], each.metadata):
                raise ValueError(f"{each.name} must be {expected}, but is {value!r}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Take the options from a configuration.

        Parameters
        ----------
        config : mapping
            Names of fields to values. Other keys are ignored; a missing field has its default.

        Returns
        -------
        Options
            An instance of this class.

        Raises
        ------
        ValueError
            If a value has the wrong type or is out of range.
        """
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in config.items() if name in names})

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the libraries that can change what is made with these options.

        Returns
        -------
        mapping of str to str
            Name of a library to its version.
        """
        return {}


def _violated(value: Any, annotation: Any, bounds: Mapping[str, Any]) -> str:
    """Return what a value must be but is not; empty if it is fine."""
    if get_origin(annotation) in (Union, UnionType):
        inner, *others = (kind for kind in get_args(annotation) if kind is not NoneType)
        if others:
            raise TypeError(f"options do not support the type {annotation}")
        if value is None:
            return ""
        expected = _violated(value, inner, bounds)
        return f"{expected} or None" if expected else ""
    return _violated_type(value, annotation) or _violated_bound(value, bounds)


def _violated_type(value: Any, annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return "" if value in choices else f"one of {', '.join(map(str, choices))}"
    if annotation not in _KINDS:
        raise TypeError(f"options do not support the type {annotation}")
    expected, fits = _KINDS[annotation]
    if not fits(value):
        return expected
    return "finite" if isinstance(value, float) and not math.isfinite(value) else ""


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, str) for each in value)


_KINDS: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number", lambda value: _is_number(value, numbers.Integral)),
    float: ("a number", lambda value: _is_number(value, numbers.Real)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
    tuple[str, ...]: ("a list of texts", _is_texts),
}
"""Type of a field to what messages call it and the test of a value."""


def _violated_bound(value: Any, bounds: Mapping[str, Any]) -> str:
    return next(
        (
            f"{text} {bounds[name]}"
            for name, text in BOUNDS.items()
            if name in bounds and not _WITHIN[name](value, bounds[name])
        ),
        "",
    )


def summary_of(options: type[Options]) -> str:
    """Return the first line of the docstring of options: what they are about, for users."""
    return (inspect.getdoc(options) or "").partition("\n")[0]
