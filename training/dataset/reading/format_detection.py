"""Detects how to read a source for which there is no recipe yet."""

import codecs
import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloche.training.dataset.reading.files import find_files, is_parquet
from cloche.training.dataset.reading.formats import PARQUET_MAGIC
from cloche.training.recipe.cross_checks import is_database, is_web
from cloche.training.recipe.load import data_section
from cloche.training.recipe.sections import Data

_LABELLED_LINE = re.compile(r"[^|]+.*\|\s*\S{1,20}\s*")
_SEPARATORS = (",", ";", "\t", "|")
_BLANKS = r"\s+"
_EXCEL_HINT = re.compile(r"sep=(.)")  # a first line that gives Excel the separator
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
_LINES = 50


def detect_data(
    source: str, query: str | None = None, options: Mapping[str, Any] | None = None
) -> Data:
    """Return the data section of a recipe for `source`.

    For text files, this detects the encoding if the file begins with a byte order mark, the
    separator from the first file's lines, and the number of lines above the header. Lines of the
    form `text|label` are distinguished from a table separated by `|`.

    Args:
        source: Source as a recipe names it.
        query: SQL query for the rows to read from a database.
        options: Options for the reader of the format; what they set is not detected.

    Raises:
        RecipeError: The source is not one that a recipe can name.
        DataError: There is no such file.
    """
    values: dict[str, Any] = {"source": source}
    if query is not None:
        values["query"] = query
    local = not (source.startswith("sample:") or is_database(source) or is_web(source))
    if local:
        values |= _file_form(find_files(source)[0], options or {})
    if options:
        values["options"] = {**values.get("options", {}), **options}
    return data_section(values)


def _file_form(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    if is_parquet(path):
        return {}
    with path.open("rb") as file:
        head = file.read(4)
    if head == PARQUET_MAGIC:
        return {"format": "parquet"}
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return {}
    found: dict[str, Any] = {}
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found["encoding"] = "utf-16"
    encoding = str(options.get("encoding", found.get("encoding", "utf-8-sig")))
    try:
        with path.open(encoding=encoding, errors="replace") as file:
            lines = [line.rstrip("\n") for _, line in zip(range(_LINES), file, strict=False)]
    except (LookupError, UnicodeError):
        return {}  # the encoding is unknown or wrong, which the reader will report
    written = [line for line in lines if line.strip()]
    labelled = path.suffix.lower() == ".txt" and all(map(_LABELLED_LINE.fullmatch, written))
    if written and labelled and written[0].count("|") == 1:
        return {"format": "labelled-lines"}
    found |= _table_form(lines)
    return {"options": found} if found else {}


def _table_form(lines: Sequence[str]) -> dict[str, Any]:
    """Return the separator and the number of lines above the header, if not the default."""
    if lines and (hint := _EXCEL_HINT.fullmatch(lines[0])):
        return {"sep": hint[1], "skiprows": 1}
    tables = [(found, mark) for mark in _SEPARATORS if (found := _shape(lines, mark))]
    if tables:
        (above, _), mark = min(tables, key=lambda table: (table[0][0], -table[0][1]))
        usual = {} if mark == "," else {"sep": mark}
        return usual | ({"skiprows": above} if above else {})
    written = [line for line in lines if line.strip()]
    counts = {mark: written[0].count(mark) if written else 0 for mark in _SEPARATORS}
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best]:
        return {} if best == "," else {"sep": best}
    return {"sep": _BLANKS} if _is_split_by_blanks(written) else {}


def _shape(lines: Sequence[str], mark: str) -> tuple[int, int] | None:
    """Return the number of lines above a table's header and of its fields; None if it is no table.

    In a table, all lines from the header on have the same number of fields, two or more; the lines
    above it have one.
    """
    try:
        rows = list(csv.reader(lines, delimiter=mark))
    except csv.Error:
        return None
    if len(rows) != len(lines):
        return None  # a field contains a line break, so rows do not correspond to lines
    header = next((at for at, row in enumerate(rows) if len(row) > 1), None)
    if header is None:
        return None
    counts = {len(row) for row in rows[header:] if row}
    return (header, len(rows[header])) if len(counts) == 1 and len(rows) - header > 1 else None


def _is_split_by_blanks(lines: Sequence[str]) -> bool:
    """Return whether whitespace separates numbers, or numbers from words, in all lines."""
    rows = [line.split() for line in lines]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return False
    return any(all(map(_NUMBER.fullmatch, column)) for column in zip(*rows[1:], strict=True))
