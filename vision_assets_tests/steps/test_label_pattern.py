"""Labels by a pattern, against Python's own engine."""

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_assets.errors import UserError
from vision_assets.steps.label_pattern import match_names, require_pattern

PATTERNS = (
    r"(?P<label>[a-z]+)_[0-9]+",
    r"^(?:(?P<split>train|test)/)?(?P<label>[^/_]*)_",
    r"(?P<label>é+|a)?[^/]*\.jpg$",
    r"(?P<label>b.*?)(?:_|/|$)",
    r"(?i)(?P<split>TRAIN).*(?P<label>[ab])",
)
PARTS = ("train", "test", "/", "_", "a", "b", "é", "0", "12", ".jpg", "TRAIN")


@given(
    st.lists(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), max_size=20),
    st.sampled_from(PATTERNS),
)
def test_it_finds_what_python_finds(names: list[str], pattern: str) -> None:
    require_pattern(pattern)
    found = match_names(pa.array(names, pa.string()), pattern)
    for group in ("label", "split"):
        expected = []
        for name in names:
            match = re.search(pattern, name)
            expected.append((match.groupdict().get(group) if match else None) or None)
        assert found[group].to_pylist() == expected
        assert found[group].type == pa.string()


def test_a_pattern_that_would_take_python_years_takes_no_time() -> None:
    found = match_names(pa.array(["a" * 5000 + "!"]), r"^(?P<label>(?:a+)+)$")
    assert found["label"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("[", "missing ]"),
        ("(?P<label>a)(b)", "unnamed"),
        ("(?=a)(?P<label>a)", "no look-around"),
        ("[a-z]+", "named group label"),
        ("(?P<split>train)", "its groups: split"),
        ("(?P<label>a)(?P<lable>b)", "lable"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_named(pattern: str, named: str) -> None:
    with pytest.raises(UserError) as error:
        require_pattern(pattern)
    message = str(error.value)
    assert repr(pattern) in message
    assert named in message
    assert "Example" in message or "Write" in message
    assert len(message.splitlines()) == 1
