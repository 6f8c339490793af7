"""How a source that nobody has described wants to be read."""

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
_EXCEL_HINT = re.compile(r"sep=(.)")  # a first line by which a spreadsheet is told the separator
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
_LINES = 50


def sniff_data(
    source: str, query: str | None = None, options: Mapping[str, Any] | None = None
) -> Data:
    """The data section of a recipe for `source`.

    For files of text, the encoding is found where the file begins with a mark of it, the separator
    of the first file's lines, and the lines above the header; lines `text|label` are told from a
    table with bars.

    Args:
        source: as a recipe names it.
        query: the rows to read from a database.
        options: for the reader of the format; what they say is not looked for.

    Raises:
        RecipeError: the source is none that a recipe can name.
        DataError: there is no such file.
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
        return {}  # an encoding that is none: the reader says so
    written = [line for line in lines if line.strip()]
    labelled = path.suffix.lower() == ".txt" and all(map(_LABELLED_LINE.fullmatch, written))
    if written and labelled and written[0].count("|") == 1:
        return {"format": "labelled-lines"}
    found |= _table_form(lines)
    return {"options": found} if found else {}


def _table_form(lines: Sequence[str]) -> dict[str, Any]:
    """The separator, and how many lines stand above the header, where they are not as usual."""
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
    """How many lines stand above a table's header, and its fields; None where `mark` makes none.

    In a table, all lines from the header on have as many fields, two or more; those above have one.
    """
    try:
        rows = list(csv.reader(lines, delimiter=mark))
    except csv.Error:
        return None
    if len(rows) != len(lines):
        return None  # a field holds a line break, so that rows are no lines
    header = next((at for at, row in enumerate(rows) if len(row) > 1), None)
    if header is None:
        return None
    counts = {len(row) for row in rows[header:] if row}
    return (header, len(rows[header])) if len(counts) == 1 and len(rows) - header > 1 else None


def _is_split_by_blanks(lines: Sequence[str]) -> bool:
    """Whether runs of blanks separate numbers, or numbers from words, in all lines."""
    rows = [line.split() for line in lines]
    if len(rows) < 2 or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return False
    return any(all(map(_NUMBER.fullmatch, column)) for column in zip(*rows[1:], strict=True))
