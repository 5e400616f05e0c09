import pytest

from vision_assets.vision.io.labels import label_of


@pytest.mark.parametrize(
    ("file_name", "label"),
    [
        ("a.jpg", None),
        ("cats/a.jpg", "cats"),
        ("train/cats/a.jpg", "cats"),
        ("naïve café/ä.jpg", "naïve café"),
        ("C:\\data\\cats\\a.jpg", "cats"),
        ("cats/back\\slash.jpg.1", "cats"),
        ("cats/a.jpg?size=large", "cats"),
        ("what?/a.jpg", "what?"),
        ("cats/a.jpg?from=dogs/b", "cats"),
        ("https://host/cats/a.jpg#dogs/b", "cats"),
        ("C:\\data/cats/a.jpg", "cats"),
        ("https://host/cats/a.jpg?size=large", "cats"),
        ("https://host/cats/a.jpg?url=http://other/dogs/b.jpg", "cats"),
    ],
)
def test_the_label_is_the_folder_that_the_file_is_in(file_name: str, label: str | None) -> None:
    assert label_of(file_name) == label


def test_another_level_is_a_folder_above() -> None:
    labels = [label_of("train/cats/grey/a.jpg", level) for level in range(1, 6)]
    assert labels == ["grey", "cats", "train", None, None]
