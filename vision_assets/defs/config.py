"""The configuration of an asset: the options of its step as fields of Dagster's Launchpad."""

import json
from dataclasses import Field, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import dagster as dg
import pydantic
from pydantic import ValidationError, create_model

from vision_assets.collection import AssetSettings
from vision_assets.steps.spec import StepSpec
from vision_assets.vision.options import BOUNDS, Options, summary_of

_Options = TypeVar("_Options", bound=Options)


class AssetConfig(dg.Config):
    """Base of the configurations of assets: a value that is out of range ends the run at once."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc']))} = {each['input']!r}: {each['msg']}"
                for each in error.errors()
            )
            # Dagster would retry with the same settings.
            raise dg.Failure(f"The configuration is wrong: {wrong}.", allow_retries=False) from None

    def options(self, kind: type[_Options]) -> _Options:
        """Return some of the options of the step."""
        return kind.from_config(self.model_dump())


def config_of(spec: StepSpec, settings: AssetSettings | None = None) -> Any:
    """Make the configuration of an asset from the options of its step.

    Parameters
    ----------
    spec : StepSpec
    settings : mapping, optional
        Asset to option to value: defaults in place of those of the options.

    Returns
    -------
    type of AssetConfig
        Its fields are those of the options, in their order.

    Raises
    ------
    TypeError
        If a field of the options was not made with `vision_assets.vision.options.option`.
    """
    own = (settings or {}).get(spec.asset, {})
    described: dict[str, Any] = {}
    for options in spec.options:
        types = get_type_hints(options)
        for each in fields(options):
            if "description" not in each.metadata:
                raise TypeError(f"{options.__name__}.{each.name} is a field without option(...)")
            default = own.get(each.name, each.default)
            described[each.name] = _field(types[each.name], default, each)
    name = "".join(part.title() for part in spec.asset.split("_")) + "Config"
    summary = summary_of(spec.options[0]) if spec.options else ""
    return create_model(name, __base__=AssetConfig, __doc__=summary, **described)


def _field(kind: Any, default: Any, declared: Field) -> tuple[Any, Any]:
    """Return type and default of a field of the configuration."""
    metadata = declared.metadata
    bounds = {name: metadata[name] for name in BOUNDS if name in metadata}
    if kind in (float, float | None):
        bounds["allow_inf_nan"] = False
    # Dagster's configuration has lists in place of tuples.
    default = list(default) if isinstance(default, tuple) else default
    description = f"{metadata['description']} {_range_of(declared)}"
    return _with_lists(kind), pydantic.Field(default=default, description=description, **bounds)


def _range_of(declared: Field) -> str:
    """Return the default and the range of an option, as the Launchpad shows them."""
    default = list(declared.default) if isinstance(declared.default, tuple) else declared.default
    bounds = [
        f"{text} {declared.metadata[name]}" for name, text in BOUNDS.items() if name in declared.metadata
    ]
    return f"[{', '.join([f'default {json.dumps(default)}', *bounds])}]"


def _with_lists(kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return list[get_args(kind)[0]]  # type: ignore[misc]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_with_lists(each) for each in get_args(kind))]  # noqa: UP007 - built from a tuple
    return kind
