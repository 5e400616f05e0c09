"""The examples in docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import vision_assets

PACKAGE = Path(vision_assets.__file__).parent
WITH_EXAMPLES = [
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in file.read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name: str) -> None:
    assert not doctest.testmod(importlib.import_module(name)).failed


def test_the_public_functions_of_vision_have_examples() -> None:
    modules = (
        "options",
        "io.labels",
        "vocabulary.assignment",
        "vocabulary.sampling",
        "encoding.bag_of_words",
    )
    for module in (*modules, "encoding.image_encoder", "features.extraction", "classification.metrics"):
        assert f"vision_assets.vision.{module}" in WITH_EXAMPLES
