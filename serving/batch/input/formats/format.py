"""What an input format gives: text is cut where records end, tables come in groups of rows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cloche.serving.batch.input.readers.reader import Reader, ReaderSettings
from cloche.serving.batch.input.record_boundaries import Records
from cloche.serving.batch.input.sources import InputFile, opened, streamed


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InputFormat:
    """What is known about an input format.

    Attributes:
        name: The name of the format, which is that of its module.
        suffixes: The ends of file names.
        recognized_by: A pattern of a file's first bytes, and a clause that says what such a file is
            and how it is scored; None if the first bytes do not tell the format.
        columns: Returns the column names of a source, which `opened` returns.
        types: Returns column → type over all rows of a source, which has this number of columns. A
            columnar format names only the columns whose type one part alone may not show. Raises
            ValueError or pa.ArrowException.
        reader: Makes the reader of parts.
        uniform: Whether all rows of a file have the same columns.
        takes_options: Whether the CSV options say how a file is written.
    """

    name: str
    suffixes: tuple[str, ...]
    recognized_by: tuple[bytes, str] | None = None
    columns: Callable[[Any, InputFile], list[str]]
    types: Callable[[Any, InputFile, int], dict[str, str]]
    reader: Callable[[ReaderSettings], Reader]
    uniform: bool = True
    takes_options: bool = False

    def opened(self, file: InputFile) -> AbstractContextManager[Any]:
        """Open a file for random access, or one of text as a stream of UTF-8."""
        return opened(file.name)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TextInput(InputFormat):
    """A format without types, whose parts are ranges of bytes.

    Attributes:
        read_header: Returns the bytes of a stream before the first row, and those read beyond.
        whole_records: Returns the end of the whole records of a block, and whether they are plain
            CSV; all records are whole in the last block.
    """

    read_header: Callable[[Any, InputFile], tuple[bytes, bytes]]
    whole_records: Callable[[bytes | bytearray, InputFile, bool], Records]

    def opened(self, file: InputFile) -> AbstractContextManager[Any]:
        """See `InputFormat.opened`."""
        return streamed(file)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnarInput(InputFormat):
    """A format with types of its own, whose parts are rows of a group.

    Attributes:
        groups: Returns the number, rows and bytes in memory of each row group or record batch.
        read_stream: Returns the schema and batches of a stream as a `pa.RecordBatchReader`; None
            for a format whose index is at the end of the file.
    """

    groups: Callable[[Any], list[tuple[int, int, int]]]
    read_stream: Callable[[Any], pa.RecordBatchReader] | None = None
