"""The names and types of a file's columns, read before the file is scored."""

import pyarrow as pa

from cloche.serving.batch.input.formats.catalog import input_format
from cloche.serving.batch.input.sources import InputFile
from cloche.serving.errors import JobFailed


def columns(file: InputFile) -> list[str]:
    """Return the column names of a file, those given by directory names last.

    JSON lines have the keys of their first rows.

    Raises:
        JobFailed: The file cannot be read, or two columns have the same name.
    """
    format_ = input_format(file.format)
    with format_.opened(file) as source:
        try:
            names = format_.columns(source, file)
        except pa.ArrowException as error:
            raise JobFailed(
                f"{file.name}: is no {file.format} file: {error}. Where it is another one, score "
                "it with --input-format csv, or what it is."
            ) from error
    refuse_duplicates(names, file.name)
    return [*names, *(name for name in file.constants if name not in names)]


def types(file: InputFile) -> dict[str, str]:
    """Return column → type in the whole file; see `InputFormat.types`.

    Raises:
        JobFailed: The file cannot be read.
    """
    format_, width = input_format(file.format), len(columns(file))
    try:
        with format_.opened(file) as source:
            return format_.types(source, file, width)
    except (ValueError, pa.ArrowException) as error:
        raise JobFailed(f"{file.name}: cannot be read as {file.format}: {error}") from error


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
