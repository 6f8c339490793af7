"""CSV: text with a header, written as `--options` say."""

from typing import Any

from cloche.serving.batch.input import csv_types
from cloche.serving.batch.input.csv_header import read_header
from cloche.serving.batch.input.formats.format import TextInput
from cloche.serving.batch.input.readers.csv import CsvReader, header_columns
from cloche.serving.batch.input.readers.reader import ReaderSettings
from cloche.serving.batch.input.record_boundaries import whole_records
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed


def _columns(stream: Any, file: InputFile) -> list[str]:
    header, _ = read_header(stream, file)
    try:
        return header_columns(header, file.csv_options, file.dialect)
    except JobFailed as error:
        raise type(error)(f"{file.name}: {error}") from error


def _reader(use: ReaderSettings) -> CsvReader:
    return CsvReader(
        use.model_columns, use.carried, use.types, use.csv_options, verbatim=use.verbatim
    )


FORMAT = TextInput(
    name="csv",
    suffixes=(".csv", ".tsv", ".txt"),
    columns=_columns,
    types=csv_types.infer,
    reader=_reader,
    takes_options=True,
    read_header=read_header,
    whole_records=lambda block, file, last: whole_records(block, file.dialect, last=last),
)
