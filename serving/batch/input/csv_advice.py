"""Advice on how to score a refused CSV table: `--options` that were tried, or a sentence.

It examines column names and refused cells, and never shows a cell. It proposes only options with
which the names or the cells can be read.
"""

import io
import json
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from mlflow.types import DataType
from pandas.tseries.api import guess_datetime_format

from cloche.serving.batch.input.csv_header import read_header
from cloche.serving.batch.input.csv_options import CsvOptions
from cloche.serving.batch.input.file_kinds import advice_on_content
from cloche.serving.batch.input.readers.casting import TRUTHS, Types
from cloche.serving.batch.input.readers.csv import NUMBERS, header_columns, readable
from cloche.serving.batch.input.readers.rows import NOT_UTF8
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed
from cloche.values import datetimes

_MOST_NAMES = 20
_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'", ",": "commas"}
# Encoding → pattern of the non-ASCII characters of its usual texts. If bytes fit several encodings
# equally well, the first one wins.
_MARKS = "\u00a0-\u00bf\u2010-\u2026\u20ac\u3000-\u303f\uff01-\uff65"
_ENCODINGS = {
    "cp949": f"[가-힣ㄱ-ㅣ{_MARKS}]",
    "shift_jis": f"[ぁ-ヿ一-鿿{_MARKS}]",
    "cp1252": f"(?<![À-ÿ]{{3}})[À-ÿŒœŠšŽž{_MARKS}]",
    "cp1251": f"[\u0410-\u044f\u0401\u0451{_MARKS}]",
    "gb18030": f"[一-鿿{_MARKS}]",
}
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y",
    "%Y. %m. %d.", "%Y년 %m월 %d일", "%Y年%m月%d日", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%Y%m%d",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_FIRST = {"%d": "the day comes first", "%m": "the month comes first"}
_TRUTHS = (("yes", "no"), ("y", "n"), ("1", "0"), ("t", "f"), ("on", "off"), ("예", "아니오"))
_MARKS_OF_NUMBERS = ((",", "."), (".", ","), (" ", ","), (" ", "."), ("'", "."))


_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


class Fix(NamedTuple):
    """Options with which the cells of a column can be read, and what the cells then mean."""

    options: dict[str, Any]
    meaning: str = ""


def written(options: Mapping[str, Any]) -> str:
    """Return options as they are typed in a shell."""
    pairs = (f"{name}: {json.dumps(one, ensure_ascii=False)}" for name, one in options.items())
    return f"--options {shlex.quote('{' + ', '.join(pairs) + '}')}"


def shown(names: Sequence[str]) -> str:
    """Return column names for a message, shortened after the first few."""
    first = ", ".join(map(repr, names[:_MOST_NAMES]))
    return f"{first} and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else first


def for_header(head: bytes, file: InputFile, needed: Sequence[str]) -> str:
    """Return which columns a CSV file has instead of the needed ones, and what to type.

    Args:
        head: The first bytes of the file, decompressed and in its own encoding.
        file: The file with its current CSV options.
        needed: The needed columns; empty if the header cannot be read at all.
    """
    if advice := advice_on_content(head):
        return f"It is {advice}"
    names = _names(head, file.csv_options, file)
    for csv_options, found, why in _readings(head, file):
        if needed and set(needed) <= set(found):
            return f"{_has(names, needed)}{why}: score it with {written(csv_options.options)}"
    for csv_options, found, why in _readings(head, file):
        if needed and (renamed := _renamed(found, needed)):
            options = csv_options.options | {"header": 0, "names": renamed}
            pairs = [_pair(*two) for two in zip(found, renamed, strict=True) if two[0] != two[1]]
            said = "; ".join([*([why] if why else []), f"it has {', '.join(pairs)}"])
            said = f"{said[:1].upper()}{said[1:]}"
            return f"{_has(names, needed)}{said}: score it with {written(options)}"
    if names is None:
        encoding = guessed_encoding(head)
        options = file.csv_options.options | {"encoding": encoding or "NAME"}
        guess = f"It is perhaps {encoding}" if encoding else "Say in what it is written"
        return f"{guess}: score it with {written(options)}"
    if not set(needed) & set(names) and any(map(_is_number, names)):
        order = needed if len(needed) == len(names) else ["FIRST", "SECOND"]
        options = file.csv_options.options | {"header": None, "names": list(order)}
        return (
            f"Its first line holds numbers and seems to be a row. If it has no header, name its "
            f"{len(names)} columns in their order: {written(options)}"
        )
    return _has(names, needed).rstrip()


def for_names(names: Sequence[str], needed: Sequence[str]) -> str:
    """Return which columns a table that is not CSV has instead of the needed ones."""
    renamed = _renamed(names, needed) or names
    pairs = [_pair(*two) for two in zip(names, renamed, strict=True) if two[0] != two[1]]
    rename = f" Rename {', '.join(pairs)}." if pairs else ""
    return f"It has {shown(names)}.{rename}"


def _has(names: Sequence[str] | None, needed: Sequence[str]) -> str:
    """Return the found names as a sentence; empty if the first line is probably a row."""
    if names is None or (not set(needed) & set(names) and any(map(_is_number, names))):
        return ""
    return f"It has {shown(names)}. "


def _readings(head: bytes, file: InputFile) -> Iterator[tuple[CsvOptions, list[str], str]]:
    """Yield CSV options to try, the column names they give, and how they differ, as a clause."""
    usual = file.csv_options.options
    encodings = [None, "utf-16", *_ENCODINGS]
    for encoding in encodings:
        for separator in (None, *_SEPARATORS):
            for spaced in (False, True):
                options, why = dict(usual), []
                if encoding:
                    options["encoding"] = encoding
                    why.append(f"it is written in {encoding}")
                if separator:
                    options["sep"] = separator
                    why.append(f"its fields are divided by {_SEPARATORS[separator]}")
                if spaced:
                    options["skipinitialspace"] = True
                    why.append("spaces stand before its fields")
                csv_options = CsvOptions(options)
                if names := _names(head, csv_options, file):
                    said = " and ".join(why)
                    yield csv_options, names, said[:1].upper() + said[1:]


def _names(head: bytes, csv_options: CsvOptions, file: InputFile) -> list[str] | None:
    """Return the names of a header under some options; None if it cannot be read with them."""
    read = replace(file, csv_options=csv_options)
    stream: Any = io.BytesIO(head)
    try:
        text = csv_options.decoded(stream) if csv_options.encoding else stream
        header, _ = read_header(text, read)
        return header_columns(header, csv_options, read.dialect)
    except (JobFailed, UnicodeError):
        return None


def _renamed(found: Sequence[str], needed: Sequence[str]) -> list[str] | None:
    """Return the names with similar ones replaced by needed ones; None if a needed one lacks."""
    alike = {_plain(name): name for name in needed}
    names = [name if name in needed else alike.get(_plain(name), name) for name in found]
    return names if set(needed) <= set(names) and len(set(names)) == len(names) else None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip("\ufeff \t\"'")


def _pair(found: str, needed: str) -> str:
    form = next((one for one in ("NFC", "NFD") if unicodedata.is_normalized(one, found)), "")
    other = unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", needed)
    return f"{found!r} for {needed!r}{f' (in the Unicode form {form})' if other and form else ''}"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def guessed_encoding(text: bytes) -> str:
    """Return the likely encoding of some bytes; empty if no encoding is likely."""
    text = text[: text.rfind(b"\n") + 1] or text  # do not end within a character
    shares = {}
    for encoding, letters in _ENCODINGS.items():
        try:
            characters = text.decode(encoding)
            if encoding == "cp949":  # beyond EUC-KR it adds only syllables that are rare in texts
                characters = text.decode("euc_kr", errors="replace")
        except UnicodeDecodeError:
            continue
        beyond = sum(not one.isascii() for one in characters)
        shares[encoding] = len(re.findall(letters, characters)) / max(beyond, 1)
    best = max(shares, key=lambda one: shares[one], default="")
    return best if best and shares[best] > 0.9 else ""


def for_rows(refused: Sequence[Mapping[str, Any]], types: Types, csv_options: CsvOptions) -> str:
    """Return what to type so that refused CSV rows can be read; empty if unknown.

    Args:
        refused: Parsed lines of the quarantine.
        types: The types of the version's columns.
        csv_options: The CSV options with which the rows were read.
    """
    if fix := _decoded(refused, csv_options):
        return fix
    found, other, meanings = dict(csv_options.options), dict(csv_options.options), ("", "")
    cells = _unread(refused, types, csv_options)
    for name, texts in cells.items():
        ways = _ways(name, types[name], texts, csv_options)
        if not ways:
            return _words(name, types[name], texts, csv_options)
        found = _merged(found, ways[0].options)
        other = _merged(other, ways[-1].options)
        if len(ways) > 1:
            meanings = (ways[0].meaning, ways[-1].meaning)
    if not cells or _unread(refused, types, CsvOptions(found)):
        return ""
    if other != found:
        return f"If {meanings[0]}, {_again(found)} or, if {meanings[1]}, {_again(other)}"
    return f"To read them, {_again(found)}"


def _decoded(refused: Sequence[Mapping[str, Any]], csv_options: CsvOptions) -> str:
    """Return what to type so that rows in another encoding are read; empty for other reasons."""
    if any(row["reason"] == f"the row is not {csv_options.encoding}" for row in refused):
        return f"If they are UTF-8, {_again(csv_options.options | {'encoding': 'utf-8'})}"
    if (encoding := _encoding(refused)) is None:
        return ""
    again = _again(csv_options.options | {"encoding": encoding or "NAME"})
    if not encoding:
        return f"Find out in what they are written, and {again}"
    return f"They seem to be written in {encoding}; {again}"


def for_lines(refused: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> str:
    """Return how to convert refused JSON lines in another encoding; empty for other reasons."""
    if (encoding := _encoding(refused)) is None:
        return ""
    source = shlex.quote(sources[0]) if len(sources) == 1 else "FILE"
    guess = f"They seem to be written in {encoding}" if encoding else "They are not UTF-8"
    return (
        f"{guess}, and JSON is UTF-8. Write the input anew and score that: "
        f"iconv -f {encoding or 'NAME'} -t utf-8 {source} > utf8.jsonl"
    )


def _encoding(refused: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the encoding of rows that are not UTF-8, empty if unknown; None if all are UTF-8."""
    if not any(row["reason"] == NOT_UTF8 for row in refused):
        return None
    raw = [row["input"] for row in refused if isinstance(row["input"], str)]
    lines = [
        _ESCAPED.sub(lambda one: bytes.fromhex(one[1].decode()), text.encode()) for text in raw
    ]
    return guessed_encoding(b"\n".join(lines))


def _again(options: Mapping[str, Any]) -> str:
    return f"score again with --overwrite {written(options)}"


def _unread(
    refused: Iterable[Mapping[str, Any]], types: Types, csv_options: CsvOptions
) -> dict[str, list[str]]:
    """Return column → cells without its type, for all columns: a reason names only one of them."""
    found: dict[str, list[str]] = {}
    for row in refused:
        if isinstance(row["input"], dict):
            for name, cell in row["input"].items():
                if name in types and not _fits(name, types[name], cell, csv_options):
                    found.setdefault(name, []).append(cell)
    return found


def _ways(name: str, kind: DataType, cells: list[str], csv_options: CsvOptions) -> list[Fix]:
    """Return the options that give all cells the type; several if the cells are ambiguous."""
    ways: list[Fix] = []
    if kind in NUMBERS:
        ways = list(_ways_of_numbers(cells))
    elif kind is DataType.boolean:
        words = {cell.strip().lower() for cell in cells}
        ways = [
            Fix(
                {
                    "true_values": sorted({one for one in cells if one.lower() == yes} or {yes}),
                    "false_values": sorted({one for one in cells if one.lower() == no} or {no}),
                }
            )
            for yes, no in _TRUTHS
            if words <= {yes, no}
        ]
    elif kind is DataType.datetime:
        forms = [f"{day}{clock}" for day in _DATES for clock in _CLOCKS]
        if any(map(str.isalpha, cells[0])) and (guessed := guess_datetime_format(cells[0])):
            forms = list(dict.fromkeys([*forms, guessed]))  # formats with the name of a month
        ways = [Fix({"date_format": {name: one}}, _FIRST.get(one[:2], "")) for one in forms]
    readings = [CsvOptions(_merged(csv_options.options, way.options)) for way in ways]
    return [
        way for way, read in zip(ways, readings, strict=True)
        if all(_fits(name, kind, cell, read) for cell in cells)
    ]  # fmt: skip


def _ways_of_numbers(cells: list[str]) -> Iterator[Fix]:
    """Yield options for numbers with a thousands separator or another decimal mark."""
    for group, point in _MARKS_OF_NUMBERS:
        form = rf"[+-]?(\d+|\d{{1,3}}({re.escape(group)}\d{{3}})+)({re.escape(point)}\d+)?"
        if not all(re.fullmatch(form, cell.strip()) for cell in cells):
            continue
        options = {}
        if grouped := any(group in cell for cell in cells):
            options["thousands"] = group
        if point != ".":
            options["decimal"] = point
        kind = "divides thousands" if grouped else "stands before the decimals"
        yield Fix(options, f"{(group if grouped else point)!r} {kind}")


def _merged(options: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(options)
    for name, value in more.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[name] = before | value
        elif isinstance(before, list) and isinstance(value, list):
            merged[name] = [*before, *(one for one in value if one not in before)]
        else:
            merged[name] = value
    return merged


def _fits(name: str, kind: DataType, cell: str, csv_options: CsvOptions) -> bool:
    if kind in NUMBERS:
        return readable(kind, cell, name, csv_options)
    if kind not in (DataType.boolean, DataType.datetime) or cell in csv_options.missing(name):
        return True
    if kind is DataType.boolean:
        words = (csv_options.options.get(key, ()) for key in ("true_values", "false_values"))
        return cell in TRUTHS or any(cell in given for given in words)
    formats = csv_options.options.get("date_format")
    pattern = formats.get(name) if isinstance(formats, dict) else formats
    if pattern:
        return bool(pd.notna(pd.to_datetime(cell, format=pattern, errors="coerce")))
    found = datetimes.parse_datetimes(pd.Series([cell], dtype=object))
    return found is not None and not found.unreadable.any()


def _words(name: str, kind: DataType | None, cells: list[str], csv_options: CsvOptions) -> str:
    """Return advice for a column that no option can read."""
    needed = kind.name if kind is not None else "another type"
    if all(cell in csv_options.missing(name) for cell in cells):
        return (
            f"The column {name!r} has cells without a value, and the version's signature needs one "
            f"({needed}). Fill them, or leave these rows out, and score again with --overwrite."
        )
    if kind in NUMBERS and any(re.search(r"\d", cell) for cell in cells):
        return (
            f"Write the column {name!r} as plain numbers ({needed}), without signs for money, "
            "per cent or units, and score again with --overwrite."
        )
    return (
        f"Write the column {name!r} as {needed}, or leave these rows out, and score again with "
        "--overwrite."
    )
