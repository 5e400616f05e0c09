import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import MAX_EXAMPLES, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Listing, clean_key

names = st.text(st.characters(exclude_categories=()) | st.sampled_from("/.\udcff\0"), max_size=40)


@given(names)
def test_a_key_is_valid_and_stays_inside(name: str) -> None:
    key = clean_key(name)
    key.encode()
    assert "\0" not in key
    assert not key or all(part not in ("", ".", "..") for part in key.split("/"))
    assert clean_key(key) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("/etc/a.jpg", "etc/a.jpg"),
        ("../../a.jpg", "a.jpg"),
        ("a/../../b/c.jpg", "b/c.jpg"),
        ("..", ""),
        ("ü 'q\" %41\n.jpg", "ü 'q\" %41\n.jpg"),
        (b"\xe9\xff.jpg".decode("utf-8", "surrogateescape"), "\\xe9\\xff.jpg"),
    ],
)
def test_keys(name: str, key: str) -> None:
    assert clean_key(name) == key


@given(
    st.lists(st.tuples(st.binary(max_size=9).filter(lambda name: b"\0" not in name), st.integers(0, 1 << 40)))
)
def test_cutting_loses_nothing_and_survives_pickling(rows: list[tuple[bytes, int]]) -> None:
    listing = Listing(further_numbers=1)
    for row, (name, size) in enumerate(rows):
        listing.add(name, size, row)
    assert list(listing.names()) == [name for name, _ in rows]
    splits = pickle.loads(pickle.dumps(listing.cut(2)))
    expected = [(name, (size, row)) for row, (name, size) in enumerate(rows)]
    assert [entry for entries in splits for entry in entries] == expected
    assert all(list(entries) for entries in splits)


@pytest.mark.parametrize("files", [1, 7, 8, 9, 100, 1000])
def test_there_is_work_for_every_core(files: int) -> None:
    listing = Listing()
    for index in range(files):
        listing.add(b"%d" % index, 20_000)
    assert len(listing.cut(2)) >= min(files, 8)


def test_splits_are_bounded() -> None:
    listing = Listing()
    for index in range(1000):
        listing.add(b"%d" % index, 10 << 20)
    splits = listing.cut(2)
    assert max(sum(size for _, (size,) in entries) for entries in splits) <= 128 << 20
    assert len(splits) < 100


def test_a_million_names_are_small() -> None:
    listing = Listing()
    for index in range(100_000):
        listing.add(b"folder %03d/image_%06d.jpg" % (index // 1000, index), 10_000)
    assert len(pickle.dumps(listing.cut(2))) < 100_000 * 20


def test_duplicates_are_named() -> None:
    listing = Listing()
    for name in (b"a.jpg", b"b.jpg", b"a.jpg"):
        listing.add(name, 1)
    with pytest.raises(UserError, match=r"1 images in 'x.tar' have the same key as .*, such as 'a.jpg'"):
        listing.raise_if_duplicates("x.tar")


@pytest.mark.parametrize(
    ("members", "top"),
    [
        (["top/a.jpg", "top/b/c.jpg"], "top/"),
        (["./top/a.jpg", "__MACOSX/._a.jpg", ".DS_Store", "._top"], "top/"),
        (["top/a.jpg", "other/b.jpg"], ""),
        (["top/a.jpg", "b.jpg"], ""),
        (["a.jpg"], ""),
        (["top/a.jpg", "README"], ""),
    ],
)
def test_the_single_top_folder(members: list[str], top: str) -> None:
    found = ArchiveListing("x.zip", Patterns(["*.jpg"]), 0, bytes)
    for member in members:
        found.add(member, 1)
    _, prefix = found.finish()
    assert prefix == len(top)


def test_skipped_counts_all_and_shows_some() -> None:
    left, right = Skipped(), Skipped()
    for index in range(30):
        left.add(f"a{index}", "one")
        right.add(f"b{index}", "two" if index % 2 else "one")
    both = left + right
    assert Counter(both.counts) == Counter({"one": 45, "two": 15})
    assert both.total == 60
    assert len(both.examples) == MAX_EXAMPLES
    assert both.examples[0] == ("a0", "one")


def test_patterns_are_for_the_file_name_in_any_case() -> None:
    patterns = Patterns(["*.jpg", "Scan?.PNG"])
    assert patterns.match("x/y.png/PHOTO.JPG")
    assert patterns.match("scan1.png")
    assert not patterns.match("x.jpg/readme.txt")


@pytest.mark.parametrize("patterns", [[], "*.jpg", ["train/*.jpg"], [""]])
def test_patterns_that_cannot_work(patterns: list[str]) -> None:
    with pytest.raises(UserError, match="pattern"):
        Patterns(patterns)
