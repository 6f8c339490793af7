"""Reads parts of CSV files as `mlflow models predict` does, or row by row if that fails.

Types come from the signature or were inferred from the whole file, so all parts are read alike.
Columns that the signature does not name are copied as the text of the file.
"""

import csv
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
from mlflow.types import DataType
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from cloche.serving.batch.input import csv_types, record_boundaries
from cloche.serving.batch.input.bisection import bisect_failures
from cloche.serving.batch.input.csv_options import PLAIN, CsvOptions, Dialect
from cloche.serving.batch.input.readers.arrow_frames import frame_of, plain
from cloche.serving.batch.input.readers.casting import INTEGERS, WHOLE, Types, cast, type_of
from cloche.serving.batch.input.readers.csv_columns import CsvColumns
from cloche.serving.batch.input.readers.reader import Reader
from cloche.serving.batch.input.readers.rows import NOT_UTF8, Rows, StoredColumns, attach
from cloche.serving.batch.job.part import Part
from cloche.serving.errors import JobFailed

NUMBERS = frozenset((DataType.double, DataType.float, DataType.long, DataType.integer))
# Columns of other types are read as text, which `cast` converts.
_DTYPES: dict[Any, str] = {
    DataType.double: "float64",
    DataType.float: "float32",
    DataType.long: "int64",
    DataType.integer: "int32",
}
# Inferred type of a whole file that is no dtype → the dtype with which its parts are read.
_OF_WHOLE: dict[str, str | None] = dict.fromkeys(
    (csv_types.INTEGERS, csv_types.VERBATIM, csv_types.MIXED), "str"
)
_AS_IT_STANDS = {csv_types.VERBATIM, csv_types.MIXED}
csv.field_size_limit(1 << 30)  # records are limited in `csv_header`
_REFUSALS = (ValueError, ParserError, ParserWarning, OverflowError, UnicodeDecodeError)


class HeaderUndecodable(JobFailed):
    """The header cannot be decoded with the encoding of the CSV options."""


class CsvReader(Reader):
    """Reads parts of CSV files."""

    def __init__(
        self, model_columns: Sequence[str] | None, carried: Sequence[str], types: Types,
        csv_options: CsvOptions = PLAIN, *, verbatim: bool = False,
    ) -> None:  # fmt: skip
        """Store the settings.

        Args:
            model_columns: The names of the model's columns; None for all columns.
            carried: The names of the columns that are copied into the output.
            types: The column types of the signature.
            csv_options: The CSV options.
            verbatim: Whether the model's columns are copied as text of the file, which suits CSV
                output; else they are copied with their types.
        """
        self._model_columns = model_columns
        self._carried = carried
        self._types = types
        self._csv_options = csv_options
        self._verbatim = verbatim
        self._by_column = CsvColumns(model_columns, carried, types, csv_options, _DTYPES)

    def read(self, part: Part) -> Rows:
        """See `Reader.read`."""
        header, body = _bytes(part)
        dialect = self._csv_options.dialect(part.source)
        refused: dict[int, str] = {}
        try:
            frame = self._parsed(header, body, dialect, part.types)
            offsets = np.arange(len(frame))
        except _REFUSALS:
            frame, offsets, refused = self._carefully(header, body, dialect, part.types)
        attach(frame, part.constants)
        names = list(frame.columns) if self._model_columns is None else self._model_columns
        inputs, bad = cast(frame[[name for name in names if name in frame.columns]], self._types)
        refused |= {int(offsets[position]): reason for position, reason in bad.items()}
        carried = frame[[name for name in self._carried if name in frame.columns]]
        twice = inputs.columns.intersection(carried.columns)
        if self._verbatim and len(twice):
            # read again as text, because a number has lost its original form
            lines = self._kept(body, dialect, offsets) if len(refused) > len(bad) else body
            carried = carried.assign(**self._texts(header, lines, dialect, set(twice), len(frame)))
        else:
            carried = carried.assign(**{name: inputs[name] for name in twice})
        kept = carried.loc[inputs.index]
        return Rows(
            inputs.reset_index(drop=True), pa.Table.from_pandas(kept, preserve_index=False),
            offsets[inputs.index.to_numpy(np.int64)], len(frame) + len(refused) - len(bad),
            lambda wanted: self._originals(header, body, dialect, wanted), refused,
        )  # fmt: skip

    def columns(self, part: Part) -> StoredColumns | None:
        """See `Reader.columns`."""
        # as numbers, columns that are copied would be those of the frame
        copied = not self._verbatim and not set(self._carried).isdisjoint(self._model_columns or ())
        possible = part.plain and self._by_column.possible and self._model_columns is not None
        if part.constants or copied or not possible:
            return None
        dialect = self._csv_options.dialect(part.source)
        with _opened(part) as file:
            names = header_columns(file.read_at(part.header, 0), self._csv_options, dialect)
            text = file.get_stream(part.start, part.stop - part.start)
            found = self._by_column.read(text, names, dialect)
        if found is None:
            return None

        def frame(positions: Any) -> pd.DataFrame | None:
            rows = plain(found[0].take(pa.array(positions)))
            typed, refused = cast(frame_of(rows, self._types), self._types)
            texts = [name for name, kind in self._types.items() if kind is DataType.string]
            return None if refused else typed.astype(dict.fromkeys(texts, "str"))

        return StoredColumns(*found, frame)

    def _parsed(
        self, header: bytes, body: bytes, dialect: Dialect, found: Mapping[str, str]
    ) -> pd.DataFrame:
        """Parse the rows of a block; integers may be written as 7.0, as tools do beside gaps."""
        try:
            return self._parse(header, body, dialect, found)
        except _REFUSALS:
            if self._csv_options.numbers() or INTEGERS.keys().isdisjoint(self._types.values()):
                raise
        return self._parse(header, body, dialect, found, digits=True)

    def _parse(
        self, header: bytes, body: bytes, dialect: Dialect, found: Mapping[str, str], *,
        digits: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        names = header_columns(header, self._csv_options, dialect)
        kinds = {name: type_of(self._types, name, at) for at, name in enumerate(names)}
        found = {name: whole for name, whole in found.items() if kinds.get(name) is None}
        dtypes, missing = {}, {}
        for name, kind in kinds.items():
            typed = kind is not None or self._model_columns is None or name in self._model_columns
            whole = found.get(name)
            words = typed and whole not in _AS_IT_STANDS
            missing[name] = self._csv_options.missing(name) if words else []
            if digits and kind in INTEGERS:
                dtypes[name] = "str"  # `cast` converts the texts
            elif whole != "object":  # booleans with gaps: pandas infers them in each part
                dtypes[name] = _OF_WHOLE.get(whole or "", whole) or _DTYPES.get(kind, "str")
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # pandas then refuses the cast
            frame: pd.DataFrame = pd.read_csv(
                io.BytesIO(header + body), dtype=dtypes, index_col=False,
                na_values=missing, keep_default_na=False, low_memory=False,
                **self._csv_options.heading(dialect), **self._csv_options.numbers(),
            )  # fmt: skip
        frame = self._plainly(frame, kinds)
        if not found:
            return frame
        frame = frame.astype({name: object for name in names if found.get(name) == "object"})
        for name in names:
            if found.get(name) == csv_types.INTEGERS:
                cells = [cell if pd.isna(cell) else int(cell) for cell in frame[name]]
                frame[name] = pd.Series(cells, dtype=object)
        return frame

    def _kept(self, body: bytes, dialect: Dialect, offsets: Any) -> bytes:
        """Return the records at some offsets."""
        lines = record_boundaries.split(body, dialect)
        return b"".join(lines[at] + b"\n" for at in offsets.tolist())

    def _texts(
        self, header: bytes, body: bytes, dialect: Dialect, wanted: set[str], rows: int
    ) -> dict[str, Any]:
        """Return columns as text of the file, by Arrow if possible, which is much faster."""
        names = header_columns(header, self._csv_options, dialect)
        places = [at for at, name in enumerate(names) if name in wanted]
        with suppress(pa.ArrowInvalid):  # only pandas fills rows that are too short
            table = _arrow_texts(body, [str(at) for at in range(len(names))], places, dialect)
            if table.num_rows == rows:
                return {names[at]: pd.array(table[str(at)], "str") for at in places}
        texts = pd.read_csv(
            io.BytesIO(header + body), usecols=places, dtype="str", index_col=False,
            na_filter=False, **self._csv_options.heading(dialect),
        )  # fmt: skip
        return {names[at]: texts.iloc[:, column].array for column, at in enumerate(places)}

    def _plainly(self, frame: pd.DataFrame, kinds: Mapping[str, DataType | None]) -> pd.DataFrame:
        """Convert booleans and dates in the table's own format to true, false and ISO 8601."""
        options = self._csv_options.options
        truths = dict.fromkeys(map(str, options.get("true_values", [])), "true")
        truths |= dict.fromkeys(map(str, options.get("false_values", [])), "false")
        dates = options.get("date_format")
        for name, kind in kinds.items():
            if truths and kind is DataType.boolean:
                frame[name] = frame[name].replace(truths)
            pattern = dates.get(name) if isinstance(dates, dict) else dates
            if pattern and kind is DataType.datetime:
                moments = pd.to_datetime(frame[name], format=pattern, errors="coerce")
                written = moments.map(pd.Timestamp.isoformat, na_action="ignore")
                frame[name] = frame[name].where(moments.isna(), written).astype("str")
        return frame

    def _carefully(
        self, header: bytes, body: bytes, dialect: Dialect, found: Mapping[str, str]
    ) -> tuple[pd.DataFrame, "np.ndarray[tuple[int], np.dtype[np.int64]]", dict[int, str]]:
        """Return the readable rows, their offsets, and offset → reason of the others."""
        names = header_columns(header, self._csv_options, dialect)
        lines = record_boundaries.split(body, dialect)
        refused = {}
        for offset, line in enumerate(lines):
            if problem := self._problem(line, names, dialect):
                refused[offset] = problem
        offsets = np.array([at for at in range(len(lines)) if at not in refused], np.int64)
        good = [lines[at] + b"\n" for at in offsets.tolist()]

        def parse(start: int, stop: int) -> pd.DataFrame:
            return self._parsed(header, b"".join(good[start:stop]), dialect, found)

        frames, failed = bisect_failures(parse, len(good), _reason)
        refused |= {int(offsets[position]): reason for position, reason in failed.items()}
        kept = np.delete(offsets, list(failed))
        pieces = [frame for _, _, frame in frames] or [self._parse(header, b"", dialect, found)]
        return pd.concat(pieces, ignore_index=True), kept, refused

    def _problem(self, line: bytes, names: list[str], dialect: Dialect) -> str | None:
        """Return the first mistake that is found in a single record; None if there is none."""
        fields = _fields(line, dialect)
        if fields is None:
            encoding = self._csv_options.encoding
            return f"the row is not {encoding}" if encoding else NOT_UTF8
        if len(fields) > len(names):
            return f"expected {len(names)} fields, found {len(fields)}"
        fields += [""] * (len(names) - len(fields))
        for at, (name, cell) in enumerate(zip(names, fields, strict=True)):
            kind = type_of(self._types, name, at)
            if kind in NUMBERS and not readable(kind, cell, name, self._csv_options):
                return f"column {name!r}: expected {kind.name}"
        return None

    def _originals(
        self, header: bytes, body: bytes, dialect: Dialect, wanted: Sequence[int]
    ) -> list[Any]:
        """Return the original rows: column → cell, or the text if it does not fit the header."""
        names = header_columns(header, self._csv_options, dialect)
        lines = record_boundaries.split(body, dialect)
        found: list[Any] = []
        for at in wanted:
            fields = _fields(lines[at], dialect)
            if fields is None or len(fields) != len(names):
                found.append(lines[at].decode(errors="backslashreplace"))
            else:
                found.append(dict(zip(names, fields, strict=True)))
        return found


_INT64_DIGITS = len(str(1 << 63))  # longer ones are not parsed: `int` allows 4,300 digits


@lru_cache(maxsize=1 << 16)
def readable(kind: DataType, cell: str, name: str, csv_options: CsvOptions) -> bool:
    """Return whether pandas reads a cell of a column as a number of the type, by letting it try."""
    if kind in INTEGERS and WHOLE.fullmatch(cell) and not csv_options.numbers():
        whole = cell.partition(".")[0].lstrip("+-").lstrip("0")
        return len(whole) < _INT64_DIGITS or (len(whole) == _INT64_DIGITS and int(whole) < 1 << 63)
    quoted = '"' + cell.replace('"', '""') + '"'
    missing = {"a": csv_options.missing(name)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pandas then refuses the cell
            pd.read_csv(
            io.StringIO(f"a\t\n{quoted}\t\n"), sep="\t", usecols=["a"], dtype={"a": _DTYPES[kind]},
            na_values=missing, keep_default_na=False, **csv_options.numbers(),
        )  # fmt: skip
    except _REFUSALS:
        return False
    return True


@lru_cache(maxsize=64)
def header_columns(header: bytes, csv_options: CsvOptions, dialect: Dialect) -> list[str]:
    """Return the column names in a header, including duplicates.

    Raises:
        JobFailed: The header cannot be decoded or parsed, or is empty.
    """
    if csv_options.names:
        return csv_options.names
    heading = csv_options.heading(dialect)
    try:
        cells = pd.read_csv(
            io.BytesIO(header), nrows=1, index_col=False, dtype="str", keep_default_na=False,
            na_filter=False, **heading | {"header": None},
        )  # fmt: skip
        usual = pd.read_csv(io.BytesIO(header), nrows=0, index_col=False, **heading)
    except UnicodeDecodeError as error:
        raise HeaderUndecodable(f"its header is not {csv_options.encoding or 'UTF-8'}.") from error
    except EmptyDataError as error:
        raise JobFailed("it has no header: it is empty.") from error
    except _REFUSALS as error:
        raise JobFailed(f"its header cannot be read as CSV: {error}.") from error
    named = [str(name) for name in cells.iloc[0]] if len(cells) else []
    # columns without a name get pandas' name for them; pandas would also rename duplicates
    return [name or str(other) for name, other in zip(named, usual.columns, strict=True)]


def _arrow_texts(body: bytes, names: list[str], places: list[int], dialect: Dialect) -> pa.Table:
    if dialect.spaced or not body or body.count(b"\r") != body.count(b"\r\n"):
        raise pa.ArrowInvalid("read otherwise than by pandas")
    columns = [names[at] for at in places]
    return arrow_csv.read_csv(
        pa.BufferReader(body),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(body) + 1, column_names=names),
        arrow_csv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), include_columns=columns
        ),
    )


@contextmanager
def _opened(part: Part) -> Iterator[pa.NativeFile]:
    """Open the file of a part.

    Raises:
        JobFailed: The file cannot be read to the end of the part.
    """
    try:
        with pa.OSFile(part.source) as file:
            if file.size() < part.stop:
                raise JobFailed(f"{part.source}: it is shorter than when the job began.")
            yield file
    except OSError as error:
        raise JobFailed(f"{part.source}: cannot be read: {error}") from error


def _bytes(part: Part) -> tuple[bytes, bytes]:
    """Return the bytes of the file's header and of the part."""
    with _opened(part) as file:
        header = file.read_at(part.header, 0)
        body = file.read_at(part.stop - part.start, part.start)
    return (header if header.endswith(b"\n") or not body else header + b"\n"), body


def _fields(line: bytes, dialect: Dialect) -> list[str] | None:
    try:
        return next(
            csv.reader(
                io.StringIO(line.decode(), newline=""), delimiter=dialect.delimiter,
                quotechar=dialect.quote, skipinitialspace=dialect.spaced,
            )
        )  # fmt: skip
    except (UnicodeDecodeError, csv.Error):
        return None


def _reason(error: Exception) -> str:
    if not isinstance(error, _REFUSALS):
        raise error
    return "the row cannot be read as CSV with the signature's types"
