"""CSV files of labels, against Python's own writer of CSV."""

import csv
import io
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_assets.errors import UserError
from vision_assets.steps.label_file import LabelFile, parse_csv, read_label_file

SHOWN = "labels.csv"
TEXTS = st.text("ab,'\";#\\/. é象\N{COMBINING ACUTE ACCENT}\ufeff", max_size=8).filter(
    lambda text: not text.lstrip().startswith('"') or text[0] == '"'
)
NAMES = TEXTS.filter(lambda name: bool(name.strip()))
ROWS = st.lists(st.tuples(NAMES, TEXTS, st.sampled_from(["", "train", "test", " train "])), max_size=12)


def said(file: LabelFile) -> list[tuple[str, str, str]]:
    return [(row["name"], row["label"], row["split"]) for row in file.rows.to_pylist()]


def wrong_line(content: str | bytes) -> str:
    """Return the message about the content of a file."""
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(UserError) as error:
        parse_csv(data, SHOWN)
    message = str(error.value)
    assert message.startswith(SHOWN)
    assert len(message.splitlines()) == 1
    return message


@given(
    rows=ROWS,
    order=st.permutations(["fileName", "label", "split", "width"]),
    header=st.sampled_from([str, str.upper, lambda name: f" {name} "]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    empty_lines=st.booleans(),
)
def test_it_reads_what_python_writes(
    rows: list[tuple[str, str, str]],
    order: list[str],
    header: Any,
    line_end: str,
    quoting: Any,
    mark: bytes,
    empty_lines: bool,
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=line_end, quoting=quoting)
    writer.writerow([header(name) for name in order])
    for name, label, split in rows:
        values = {"fileName": name, "label": label, "split": split, "width": "12"}
        writer.writerow([values[column] for column in order])
        buffer.write(line_end if empty_lines else "")
    found = parse_csv(mark + buffer.getvalue().encode(), SHOWN)
    assert said(found) == [(name, label.strip(), split.strip()) for name, label, split in rows]
    places = [found.place(row) for row in found.rows["row"].to_pylist()]
    assert places == [f"line {2 + index * (1 + empty_lines)}" for index in range(len(rows))]


@given(st.lists(NAMES, max_size=12))
def test_other_forms_of_a_name(names: list[str]) -> None:
    table = pa.table({"fileName": names, "label": ["x"] * len(names)})
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerows([table.column_names, *zip(*table.to_pydict().values(), strict=True)])
    for name, row in zip(names, parse_csv(buffer.getvalue().encode(), SHOWN).rows.to_pylist(), strict=True):
        assert row["name"] == name
        path = name.strip().replace("\\", "/")
        while "//" in path:
            path = path.replace("//", "/")
        while path.startswith("./"):
            path = path[2:]
        assert row["path"] == path
        assert row["composed"] == unicodedata.normalize("NFC", path)
        assert row["decomposed"] == unicodedata.normalize("NFD", path)


def test_texts_that_look_like_nothing_or_like_numbers_stay_texts() -> None:
    rows = "fileName,label\n1,NA\n02,null\n3.50,nan\ntrue,007\n"
    assert [row[:2] for row in said(parse_csv(rows.encode(), SHOWN))] == [
        ("1", "NA"),
        ("02", "null"),
        ("3.50", "nan"),
        ("true", "007"),
    ]


def test_rows_without_anything_are_left_out() -> None:
    file = parse_csv(b"fileName,label,split\n,,\na.jpg,cats,\n , ,\n", SHOWN)
    assert said(file) == [("a.jpg", "cats", "")]
    assert file.place(1) == "line 3"
    assert said(parse_csv(b"fileName,label\n", SHOWN)) == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "no column fileName"),
        ("a.jpg,cats\nb.jpg,dogs\n", "'a.jpg,cats'"),
        ("fileName;label\na.jpg;cats\n", "separated by commas"),
        ("fileName,class\na.jpg,cats\n", "no column label"),
        ("fileName,label,Label\na.jpg,cats,cats\n", "2 columns label"),
        (
            "fileName,label\na.jpg,cats\nb.jpg,big, black\n",
            "line 3: 3 values for 2 columns in 'b.jpg,big, black'",
        ),
        ("fileName,label\n\n\na.jpg\n", "line 4: 1 values for 2 columns"),
        ('fileName,label\r\na.jpg,cats\r\nb.jpg, "big, black"\r\n', "line 3"),
        ('fileName,label\na.jpg, "cats"\n', "line 2: there is a space before the quote"),
        ('fileName,label\na.jpg,"cats\nb.jpg,dogs\nc.jpg,dogs\n', "quote"),
        ('fileName,label,note\na.jpg,cats,"oh\nb.jpg,dogs,\n', "quote"),
        ('fileName,label\na.jpg,"cats\nb.jpg,dogs"\n', "line break. Is a quote missing?"),
        ("fileName,label\na.jpg,cats\n,dogs\n", "line 3: there is no fileName"),
        (
            "fileName,label,split\na.jpg,cats,val\n",
            "line 2: the split of 'a.jpg' is 'val'. Write train or test",
        ),
        ("fileName,label,split\na.jpg,cats,Train\n", "'Train'"),
        (b"fileName,label\na.jpg,cats\nb.jpg," + b"caf\xe9\n", "line 3: the text is not UTF-8"),
        ("fileName,label\na.jpg,cats\n".encode("utf-16"), "line 1: the text is not UTF-8"),
        (b"PK\x03\x04\xff\xff", "UTF-8"),
    ],
)
def test_what_has_no_clear_meaning_is_named_with_its_line(content: str | bytes, named: str) -> None:
    assert named in wrong_line(content)


def test_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Label": pa.array(["cats", None, "cats"]).dictionary_encode(),
            "filename": ["a.jpg", "b.jpg", "c,d.jpg"],
            "width": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "file")
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(table, folder / "part-0.parquet")
    (folder / "_SUCCESS").touch()
    for path in (tmp_path / "file", folder):
        file = read_label_file(None, str(path))  # type: ignore[arg-type] # a local file needs no session
        assert said(file) == [("a.jpg", "cats", ""), ("b.jpg", "", ""), ("c,d.jpg", "cats", "")]
        assert file.place(1) == "row 2"
    numbers = pa.table({"fileName": ["a.jpg"], "label": pa.array([7], pa.int64()), "split": ["test"]})
    pq.write_table(numbers, tmp_path / "numbers")
    assert said(read_label_file(None, str(tmp_path / "numbers"))) == [("a.jpg", "7", "test")]  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    lists = pa.table({"fileName": ["a.jpg"], "label": [["cats"]]})
    pq.write_table(lists, tmp_path / "lists")
    (tmp_path / "cut off").write_bytes((tmp_path / "lists").read_bytes()[:100])
    (tmp_path / "empty").mkdir()
    for name in ("nothing here", "lists", "cut off", "empty"):
        with pytest.raises(UserError) as error:
            read_label_file(None, str(tmp_path / name))  # type: ignore[arg-type]
        assert str(tmp_path / name) in str(error.value)
        assert len(str(error.value).splitlines()) == 1
