"""Which columns a file has, before anything of it is scored."""

import io
import itertools
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.batch.readers.text import header_columns
from cloche.serving.batch.records import last_end
from cloche.serving.batch.sources import InputFile, opened, streamed
from cloche.serving.errors import JobFailed

_LINES = 1000
_CHUNK_ROWS = 65_536


def columns(file: InputFile) -> list[str]:
    """The names, those given by directories last; of JSON lines, what the first rows have.

    Raises:
        JobFailed: It cannot be read.
    """
    names = _of_text(file) if file.format in ("csv", "jsonl") else _of_schema(file)
    return [*names, *(name for name in file.constants if name not in names)]


def _of_schema(file: InputFile) -> list[str]:
    with opened(file.name) as source:
        try:
            if file.format == "parquet":
                return list(pq.read_schema(source).names)
            return list(pa.ipc.open_file(source).schema.names)
        except pa.ArrowException as error:
            raise JobFailed(f"{file.name}: is no {file.format} file: {error}") from error


def _of_text(file: InputFile) -> list[str]:
    with streamed(file) as stream:
        return columns_of_text(stream.read(1 << 20), file.format, file.delimiter)


def columns_of_text(head: bytes, text_format: str, delimiter: str) -> list[str]:
    """The columns of text that begins like this."""
    if text_format == "csv":
        return header_columns(head, delimiter)
    names: dict[str, None] = {}
    for line in itertools.islice(head.split(b"\n"), _LINES):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            names |= dict.fromkeys(value)
    return list(names)


def inferred_types(files: list[InputFile]) -> dict[str, str]:
    """The type that pandas gives each column when it reads CSV files as one.

    Raises:
        JobFailed: They cannot be read.
    """
    found: dict[str, str] = {}
    for file in files:
        with streamed(file) as stream:
            try:
                pieces = pd.read_csv(
                    stream, sep=file.delimiter, chunksize=_CHUNK_ROWS, index_col=False
                )
                for piece in pieces:
                    _widen(found, piece)
            except ValueError as error:
                raise JobFailed(f"{file.name}: cannot be read as CSV: {error}") from error
    return found


def types_of_head(head: bytes) -> dict[str, str]:
    """The types of the columns in the whole records at the start of CSV."""
    found: dict[str, str] = {}
    _widen(found, pd.read_csv(io.BytesIO(head[: last_end(head, ",")]), index_col=False))
    return found


def _widen(found: dict[str, str], frame: pd.DataFrame) -> None:
    for name, dtype in frame.dtypes.items():
        one, other = found.get(str(name), str(dtype)), str(dtype)
        numbers = {one, other} == {"int64", "float64"}
        found[str(name)] = one if one == other else "float64" if numbers else "str"
