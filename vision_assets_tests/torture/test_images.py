import pytest

from vision_assets_tests.torture.image_worker import mutated
from vision_assets_tests.torture.images import torture
from vision_assets_tests.torture.seeds import seed_files

MUTATIONS = 60
"""Of each format; ``make torture`` takes many more."""


def test_mutated_images_give_rows() -> None:
    for tally in torture(list(seed_files()), MUTATIONS):
        assert tally.problems == {}
        assert tally.rows + tally.error_rows == MUTATIONS
        assert tally.rows
        assert tally.error_rows


@pytest.mark.parametrize("kind", seed_files())
def test_mutations_come_again_by_their_number(kind: str) -> None:
    first = [mutated(kind, number) for number in range(40)]

    assert first == [mutated(kind, number) for number in range(40)]
    assert len({*first, *seed_files()[kind]}) > 30 + len(seed_files()[kind])
