"""Labels from a CSV or Parquet file: its columns, found and checked, with the place of each row."""

import codecs
import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.redaction import redact
from vision_assets.spark.hadoop import copy_to_local, hadoop_path
from vision_assets.uris import local_path, readable

_REQUIRED = ("fileName", "label")
_COLUMNS = (*_REQUIRED, "split")
_SPLITS = ("train", "test")
_PARQUET = b"PAR1"
_CSV_FAULTS = {
    r"^\s+\"": "there is a space before the quote of {value!r}. Remove it.",
    r"[\r\n]": "{value!r:.80} has a line break. Is a quote missing?",
}
"""What a value of a CSV file must not contain, as a regular expression, and what is wrong with it."""


class LabelFile(NamedTuple):
    """What a file says about images.

    Attributes
    ----------
    shown : str
        Where the file is, for messages.
    rows : pyarrow.Table
        Columns ``row`` (from 0), ``label`` and ``split`` (empty where nothing is said), and the name of the
        image: ``name`` as it is written, ``path`` with ``/`` between its parts and without ``./`` in front,
        ``composed`` and ``decomposed`` with accents in the two forms of Unicode.
    place : callable
        Takes a number of ``row``, returns what messages call it: ``line 3``.
    """

    shown: str
    rows: pa.Table
    place: Callable[[int], str]


def read_label_file(spark: SparkSession, uri: str) -> LabelFile:
    """Read a CSV or Parquet file; the driver does.

    Parameters
    ----------
    spark : SparkSession
        Its Hadoop settings decide how a URI is reached.
    uri : str
        A local path or a Hadoop URI of a CSV file, a Parquet file or a folder of Parquet files.

    Returns
    -------
    LabelFile

    Raises
    ------
    UserError
        If there is no such file, or it does not say which image has which label.
    """
    shown, path = redact(readable(uri)), local_path(uri)
    if path is not None:
        return _read(path, shown)
    files, place = hadoop_path(spark, uri)
    if not files.exists(place):
        raise _missing(shown)
    copy = copy_to_local(spark, uri)
    try:
        return _read(copy, shown)
    finally:
        shutil.rmtree(copy.parent)


def _missing(shown: str) -> UserError:
    return UserError(f"The file of labels {shown} does not exist. Correct `labels` of image_labels.")


def _read(path: Path, shown: str) -> LabelFile:
    try:
        if path.is_dir():
            return _read_parquet(path, shown)
        with path.open("rb") as file:
            if file.read(len(_PARQUET)) == _PARQUET:
                return _read_parquet(path, shown)
        return parse_csv(path.read_bytes(), shown)
    except FileNotFoundError:
        raise _missing(shown) from None
    except OSError as error:
        raise UserError(f"cannot read the file of labels {shown}: {error.strerror or error}.") from error


def _read_parquet(path: Path, shown: str) -> LabelFile:
    try:
        stored = pq.ParquetDataset(path)
        columns = _find_columns(stored.schema.names, shown)
        table = stored.read(columns=list(columns.values()))
        texts = {name: table[column].cast(pa.string()) for name, column in columns.items()}
    except (pa.ArrowException, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{shown} is not a Parquet file of texts: {' '.join(str(error).split())}.") from error
    return _checked(pa.table(texts), shown, lambda row: f"row {row + 1:,}")


def parse_csv(data: bytes, shown: str) -> LabelFile:
    """Read the content of a CSV file.

    Parameters
    ----------
    data : bytes
        UTF-8. The first line names the columns.
    shown : str
        Where the file is, for messages.

    Returns
    -------
    LabelFile

    Raises
    ------
    UserError
        Names the file and the line.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = len(data[: error.start].splitlines()) or 1
        raise UserError(f"{shown}, line {line:,}: the text is not UTF-8. Save it as CSV in UTF-8.") from None

    def place(row: int) -> str:
        """Count lines, only for a message: fields may have line breaks, and empty lines are no rows."""
        reader = csv.reader(io.StringIO(text, newline=""))
        lines = (reader.line_num for record in reader if record)
        return f"line {next(islice(lines, row + 1, None), 0):,}"

    header = next(filter(None, csv.reader(io.StringIO(text, newline=""))), [])
    columns = _find_columns(header, shown)
    rejected: list[pa.csv.InvalidRow] = []

    def reject(row: pa.csv.InvalidRow) -> str:
        rejected.append(row)
        return "error"

    try:
        table = pa.csv.read_csv(
            pa.py_buffer(data),
            pa.csv.ReadOptions(use_threads=False),
            pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=reject),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(columns.values(), pa.string()),
                include_columns=list(columns.values()),
            ),
        )
    except pa.ArrowInvalid as error:
        if not rejected:
            raise UserError(f"{shown} is not a CSV file: {' '.join(str(error).split())}.") from error
        row = rejected[0]
        raise UserError(
            f"{shown}, {place(row.number - 2)}: {row.actual_columns} values for {row.expected_columns} "
            f"columns in {row.text[:100]!r}. A value with a comma in it needs quotes."
        ) from None
    if text.count('"') % 2:
        raise UserError(f"{shown} has a quote that is not closed. Write a quote within quotes twice.")
    return _checked(table.rename_columns(list(columns)), shown, place, _CSV_FAULTS)


def _find_columns(header: Sequence[str], shown: str) -> dict[str, str]:
    """Return the wanted columns with their names in the file, where case and spaces do not matter."""
    found: dict[str, str] = {}
    for wanted in _COLUMNS:
        named = [name for name in header if name.strip().lower() == wanted.lower()]
        if len(named) > 1:
            raise UserError(f"{shown} has {len(named)} columns {wanted}. Keep one.")
        if named:
            found[wanted] = named[0]
    if missing := [name for name in _REQUIRED if name not in found]:
        raise UserError(
            f"{shown} has no column {' and no column '.join(missing)}: its first line is "
            f"{','.join(header)[:100]!r}. Name the columns fileName, label and, if wanted, split, separated "
            "by commas."
        )
    return found


def _checked(
    table: pa.Table, shown: str, place: Callable[[int], str], faults: Mapping[str, str] = MappingProxyType({})
) -> LabelFile:
    """Take the spaces from around the values, and refuse what has no clear meaning."""
    given = {name: _filled(table, name) for name in _COLUMNS}
    texts = {name: pc.utf8_trim_whitespace(given[name]) for name in _COLUMNS}

    def refuse(wrong: pa.Array, message: str, column: str = "split") -> None:
        if (row := pc.index(wrong, True).as_py()) >= 0:
            name, value = (texts[each][row].as_py() for each in ("fileName", column))
            raise UserError(f"{shown}, {place(row)}: {message.format(name=name, value=value)}")

    for name in _COLUMNS:
        for pattern, message in faults.items():
            refuse(pc.match_substring_regex(given[name], pattern), message, name)
    unnamed = pc.equal(texts["fileName"], "")
    says_something = pc.or_(pc.not_equal(texts["label"], ""), pc.not_equal(texts["split"], ""))
    refuse(pc.and_(unnamed, says_something), "there is no fileName.")
    refuse(
        pc.invert(pc.is_in(texts["split"], pa.array(["", *_SPLITS]))),
        "the split of {name!r} is {value!r}. Write train or test, or leave it empty.",
    )
    path = pc.replace_substring(texts["fileName"], "\\", "/")
    path = pc.replace_substring_regex(pc.replace_substring_regex(path, "/{2,}", "/"), r"^(\./)+", "")
    rows = pa.table(
        {
            "row": pa.array(np.arange(table.num_rows)),
            "label": texts["label"],
            "split": texts["split"],
            "name": given["fileName"],
            "path": path,
            "composed": pc.utf8_normalize(path, "NFC"),
            "decomposed": pc.utf8_normalize(path, "NFD"),
        }
    )
    return LabelFile(shown, rows.filter(pc.invert(unnamed)), place)


def _filled(table: pa.Table, name: str) -> pa.Array:
    """Return a column with empty texts in place of nulls; empty texts for a column that is not there."""
    if name not in table.column_names:
        return pa.repeat("", table.num_rows)
    return pc.fill_null(table[name], "").combine_chunks()
