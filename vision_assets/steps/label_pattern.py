"""Labels by a regular expression on the names of images.

The engine is RE2, which Arrow applies to a column at once. Its time grows with the length of a name only,
whatever the pattern; a pattern of Java's or Python's engine can take years.
"""

import pyarrow as pa
import pyarrow.compute as pc

from vision_assets.errors import UserError

_GROUPS = ("label", "split")


def require_pattern(pattern: str) -> None:
    """Raise a `UserError` unless a text is a regular expression with the named group ``label``."""
    try:
        groups = pc.extract_regex(pa.array([""]), pattern).type.names
    except pa.ArrowInvalid as error:
        raise UserError(
            f"`label_pattern` {pattern!r} cannot be used: {' '.join(str(error).split())}. Write a regular "
            "expression of RE2 (no look-around, no back-references) whose groups are all named or (?:…)."
        ) from None
    if "label" not in groups or not set(groups) <= set(_GROUPS):
        found = ", ".join(groups) or "none"
        raise UserError(
            f"`label_pattern` {pattern!r} needs the named group label, and may have split; its groups: "
            f"{found}. Example: (?P<label>[a-z]+)_[0-9]+"
        )


def match_names(names: pa.Array, pattern: str) -> dict[str, pa.Array]:
    """Search a pattern in each name.

    Parameters
    ----------
    names : pyarrow.Array of string
    pattern : str
        As `require_pattern` accepts it.

    Returns
    -------
    dict
        ``label`` and ``split``: arrays of string of the same length. Null where the pattern is not found, or
        its group is empty or absent.
    """
    found = pc.extract_regex(names, pattern)
    return {
        group: _or_null(pc.struct_field(found, group))
        if group in found.type.names
        else pa.nulls(len(names), pa.string())
        for group in _GROUPS
    }


def _or_null(texts: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(texts, ""), None, texts)
