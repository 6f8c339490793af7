"""The column names of a file, read before the file is scored."""

import itertools
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloche.serving.batch.input.csv_header import read_header
from cloche.serving.batch.input.readers.csv import header_columns
from cloche.serving.batch.input.readers.jsonlines import parsed
from cloche.serving.batch.input.sources import InputFile, opened, streamed
from cloche.serving.errors import JobFailed

_LINES = 1000


def columns(file: InputFile) -> list[str]:
    """Return the column names of a file, those given by directory names last.

    JSON lines have the keys of their first rows.

    Raises:
        JobFailed: The file cannot be read, or two columns have the same name.
    """
    names = _of_text(file) if file.format in ("csv", "jsonl") else _of_schema(file)
    refuse_duplicates(names, file.name)
    return [*names, *(name for name in file.constants if name not in names)]


def refuse_duplicates(names: list[str], name: str) -> None:
    """Refuse a table in which two columns have the same name, as the server does.

    Raises:
        JobFailed: The table has such columns.
    """
    if doubled := sorted({one for one in names if names.count(one) > 1}):
        raise JobFailed(
            f"{name}: {', '.join(map(repr, doubled))} is the name of several columns, and nobody "
            "knows which one is meant. Give each column a name of its own; "
            f"{doubled[0] + '.1'!r} is what a training on CSV calls the second of them."
        )


def _of_schema(file: InputFile) -> list[str]:
    with opened(file.name) as source:
        try:
            if file.format == "parquet":
                return list(pq.read_schema(source).names)
            return list(pa.ipc.open_file(source).schema.names)
        except pa.ArrowException as error:
            raise JobFailed(
                f"{file.name}: is no {file.format} file: {error}. Where it is another one, score "
                "it with --input-format csv, or what it is."
            ) from error


def _of_text(file: InputFile) -> list[str]:
    with streamed(file) as stream:
        return columns_of_text(stream, file)


def columns_of_text(stream: Any, file: InputFile) -> list[str]:
    """Return the column names of a text stream at its start; `file` describes the stream."""
    if file.format == "csv":
        header, _ = read_header(stream, file)
        try:
            return header_columns(header, file.reading, file.form)
        except JobFailed as error:
            raise type(error)(f"{file.name}: {error}") from error
    names: dict[str, None] = {}
    for line in itertools.islice(stream.read(1 << 20).split(b"\n"), _LINES):
        value = parsed(line)
        if isinstance(value, dict):
            names |= dict.fromkeys(value)
    return list(names)
