"""Readers for one file of each format; their messages name the option that fixes the problem."""

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cloche.training.dataset.reading.parquet import read_parquet
from cloche.training.recipe.suggestions import suggestion
from cloche.values import compressed_streams
from cloche.values.redaction import redact

Format = Literal["csv", "parquet", "labelled-lines"]
Reader = Callable[[Path, Mapping[str, Any], Sequence[str] | None], pd.DataFrame]

PARQUET_MAGIC = b"PAR1"
_COMPRESSED = (".gz", ".zip", ".bz2", ".xz", ".zst")
_UNPACKED = "is compressed; unpack it, or end its name in {}, like .csv{}"
_AS_PARQUET = (
    "which is not read here; write it as Parquet: python -c 'import pandas, sys; "
    "pandas.{}.to_parquet(sys.argv[2])' FILE TABLE.parquet"
)
# First bytes of files in other formats, each with the message that says what to do.
_OTHER_FORMATS: tuple[tuple[bytes, str], ...] = (
    (PARQUET_MAGIC, "is a Parquet file; set data.format: parquet"),
    (b"ARROW1", f"is an Arrow (Feather) file, {_AS_PARQUET.format('read_feather(sys.argv[1])')}"),
    (b"ORC", f"is an ORC file, {_AS_PARQUET.format('read_orc(sys.argv[1])')}"),
    (
        b"SQLite format 3",
        "is a SQLite database; name it as sqlite:///PATH, and its rows with data.query (with "
        "cloche init: --query 'SELECT * FROM …')",
    ),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook, which is not read here; save it as CSV"),
    (b"%PDF", "is a PDF document, which is not read here; write its table as CSV"),
    (b"\x1f\x8b", _UNPACKED.format(".gz", ".gz")),
    (b"BZh", _UNPACKED.format(".bz2", ".bz2")),
    (b"\xfd7zXZ", _UNPACKED.format(".xz", ".xz")),
    (b"\x28\xb5\x2f\xfd", _UNPACKED.format(".zst", ".zst")),
)
_JSON = re.compile(rb'\[?\s*\{\s*("(?:[^"\\\\]|\\\\.)*"\s*:|\})')
_BAD_LINE = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_OPEN_QUOTE = re.compile(r"EOF inside string starting at row (\d+)")
_SEPARATORS = (";", "\t", "|")


class UnreadableError(Exception):
    """A file does not have the format that it should have.

    Attributes:
        problems: Messages that say what was found and how to fix it.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def read_file(
    path: Path, form: Format, options: Mapping[str, Any], columns: Sequence[str] | None
) -> pd.DataFrame:
    """Read one file.

    Raises:
        UnreadableError: The file is empty, has another format, or lacks a column.
    """
    readers: dict[Format, Reader] = {
        "csv": _read_csv,
        "parquet": _read_parquet,
        "labelled-lines": _read_labelled_lines,
    }
    try:
        if path.stat().st_size == 0:
            raise UnreadableError("is empty")
        frame = readers[form](path, options, columns)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    if frame.empty:
        raise UnreadableError("has columns and no rows; name a table that has some")
    # pandas cannot group or sort by float16; float32 represents all of its values exactly.
    half = {name: np.float32 for name, kind in frame.dtypes.items() if kind == np.float16}
    return frame.astype(half) if half else frame


def absent_columns(wanted: Sequence[str], present: Sequence[str]) -> list[str]:
    """Return one message for each wanted column that is not present."""
    return [
        f"no column {name!r}; {suggestion(name, present)}" for name in wanted if name not in present
    ]


def _read_csv(
    path: Path, options: Mapping[str, Any], columns: Sequence[str] | None
) -> pd.DataFrame:
    _refuse_other(path)
    for name in ("chunksize", "iterator"):
        if options.get(name):
            raise UnreadableError(f"data.options.{name}: the table is read whole; remove it")
    try:
        header = [str(name) for name in _parse(path, {**options, "nrows": 0}).columns]
        if columns is not None:
            absent = absent_columns(columns, header)
            if absent:
                raise UnreadableError(*_other_separator(header, options), *absent)
            options = {"usecols": list(columns), **options}
        return _parse(path, {"low_memory": False, **options})
    except _CSV_ERRORS as error:
        say = next(say for kind, say in _CSV_PROBLEMS if isinstance(error, kind))
        raise UnreadableError(
            say.format(_without_cells(error, options)) if isinstance(say, str) else say(error)
        ) from None


def _without_cells(error: Exception, options: Mapping[str, Any]) -> str:
    """Return pandas' message about a file, with quoted options and columns but without cells."""
    quoted = re.findall(r"'([^']*)'", repr(options))
    return redact(str(error), names=[*quoted, *signature(pd.read_csv).parameters, "python"])


def _parse(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    source: Any = path
    with ExitStack() as stack:
        suffix = path.suffix.lower()
        if suffix in compressed_streams.SUFFIXES and "compression" not in options:
            packed = stack.enter_context(path.open("rb"))
            source = stack.enter_context(compressed_streams.decompressed(packed, suffix))
        frame: pd.DataFrame = pd.read_csv(source, **options)
    return frame


def _read_parquet(
    path: Path, options: Mapping[str, Any], columns: Sequence[str] | None
) -> pd.DataFrame:
    try:
        if columns is not None:
            absent = absent_columns(columns, pq.read_schema(path).names)
            if absent:
                raise UnreadableError(*absent)
        names = None if columns is None else list(columns)
        return read_parquet(path, **{"columns": names, **options}).reset_index(drop=True)
    except TypeError as error:
        raise UnreadableError(f"data.options do not fit pandas.read_parquet: {error}") from None
    except pa.ArrowException as error:
        raise UnreadableError(f"is no Parquet file: {error}") from None
    except ImportError as error:
        raise UnreadableError(_needs_package(error)) from None
    except (ValueError, LookupError, AttributeError) as error:
        raise UnreadableError(f"cannot be read with these data.options: {error}") from None


def _read_labelled_lines(
    path: Path, options: Mapping[str, Any], columns: Sequence[str] | None
) -> pd.DataFrame:
    """Read a row from each line `text|label`, split at the last bar: the text may contain bars."""
    unknown = [name for name in options if name != "encoding"]
    if unknown:
        known = "labelled lines know only the option encoding"
        raise UnreadableError(*(f"data.options.{name}: {known}" for name in unknown))
    _refuse_other(path)
    encoding = options.get("encoding", "utf-8-sig")
    try:
        lines = path.read_text(encoding=encoding).split("\n")
    except UnicodeDecodeError:
        raise UnreadableError(_wrong_encoding(encoding)) from None
    except LookupError:
        raise UnreadableError(f"data.options.encoding: {encoding!r} is not known") from None
    split = [(number, line.rpartition("|")) for number, line in enumerate(lines, 1) if line.strip()]
    wrong = [number for number, (_, bar, label) in split if not bar or not label.strip()]
    if wrong:
        more = f" and {len(wrong) - 1} more lines" if len(wrong) > 1 else ""
        raise UnreadableError(f"line {wrong[0]}{more}: expected text|label")
    labels = pd.Series([label.strip() for _, (_, _, label) in split], dtype="str")
    frame = pd.DataFrame({"text": [text for _, (text, _, _) in split], "label": _numbers(labels)})
    absent = absent_columns(columns or (), list(frame.columns))
    if absent:
        raise UnreadableError(*absent)
    return frame.astype({"text": "str"})


def _numbers(labels: "pd.Series[str]") -> pd.Series:
    """Return labels as integers if all of them are integers, so that `1` means 1."""
    return labels.astype("int64") if labels.str.fullmatch(r"-?\d{1,18}").all() else labels


def _refuse_other(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PK"):
        _refuse_archive(path)
    if path.name.lower().endswith(_COMPRESSED):
        return
    for magic, problem in _OTHER_FORMATS:
        if head.startswith(magic):
            raise UnreadableError(problem)
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begins[:20].lower().startswith((b"<!doctype html", b"<html")):
        raise UnreadableError(
            "is a web page (HTML), which is not read here; save its table as CSV or Parquet. A "
            "server that asks to sign in answers so, too"
        )
    if begins.startswith(b"<?xml"):
        raise UnreadableError("is XML, which is not read here; write it as CSV or Parquet")
    named = begins.startswith((b"{", b"[")) and ".json" in path.name.lower()
    if named or _JSON.match(begins):
        lines = begins.startswith(b"{")
        reader = f"read_json(sys.argv[1], lines={lines})"
        raise UnreadableError(f"is JSON, {_AS_PARQUET.format(reader)}")
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("is binary, and no text; convert it to CSV or Parquet")


def _refuse_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except zipfile.BadZipFile:
        return  # the reader reports the broken archive
    if any(name.startswith("xl/") for name in names):
        raise UnreadableError("is an Excel workbook, which is not read here; save it as CSV")
    if "content.xml" in names:
        raise UnreadableError("is an office document, which is not read here; save it as CSV")
    if len(names) != 1:
        raise UnreadableError(
            f"is an archive of {len(names):,} files; unpack it, and name one of them, or their "
            "folder"
        )
    if not path.name.lower().endswith(".zip"):
        raise UnreadableError(_UNPACKED.format(".zip", ".zip"))


def _not_csv(error: Exception) -> str:
    """Return why a file is no CSV table, with the line."""
    text = str(error).strip()
    if found := _BAD_LINE.search(text):
        expected, line, saw = found.groups()
        return (
            f"line {line} has {saw} fields, and the lines above have {expected}; mend it, or leave "
            "such lines out: data.options: {on_bad_lines: skip} (with cloche init: "
            "--option on_bad_lines=skip)"
        )
    if found := _OPEN_QUOTE.search(text):
        return (
            f"a quotation mark in line {int(found[1]) + 1} is never closed; close it, or take such "
            "marks for text: data.options: {quoting: 3} (with cloche init: --option quoting=3)"
        )
    return f"is no CSV table: {text}"


def _needs_package(error: ImportError) -> str:
    return f"cannot be read without another package: {str(error).splitlines()[0]}"


def _wrong_encoding(tried: str) -> str:
    return (
        f"is not written in {tried}; set data.options.encoding, like cp949 (Korean), shift_jis "
        "(Japanese) or latin-1 (with cloche init: --option encoding=cp949)"
    )


# Exceptions of pandas and the packages that decompress for it; the first match gives the message.
_CSV_PROBLEMS: tuple[tuple[Any, str | Callable[[Any], str]], ...] = (
    (UnicodeDecodeError, lambda error: _wrong_encoding(error.encoding)),
    (pd.errors.EmptyDataError, lambda _: "is empty"),
    (
        (pd.errors.ParserError, zipfile.BadZipFile),
        _not_csv,
    ),
    (
        (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError),
        "cannot be read, and may be cut short: {}",
    ),
    (ImportError, _needs_package),
    (TypeError, "data.options do not fit pandas.read_csv: {}"),
    (
        (ValueError, LookupError, AttributeError),
        "cannot be read with these data.options: {}",
    ),
)
_CSV_ERRORS = (
    ImportError, TypeError, ValueError, LookupError, AttributeError, EOFError, zipfile.BadZipFile,
    zlib.error, lzma.LZMAError, tarfile.TarError,
)  # fmt: skip


def _other_separator(header: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    if len(header) != 1 or "sep" in options:
        return []
    return [
        f"has one column, and {mark!r} in its name; set data.options.sep: {mark!r}"
        for mark in _SEPARATORS
        if mark in header[0]
    ]
