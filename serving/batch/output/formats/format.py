"""What an output format gives: text is joined as bytes, and columnar files as tables of one schema.

Parts of one columnar file wait as Arrow files, and are merged (`merge_parts.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutputFormat:
    """What is known about an output format.

    Attributes:
        name: The name of the format, which is that of its module. Files of parts end with it, but
            for parts of one columnar file.
        suffixes: The ends of file names that choose the format.
        verbatim: Whether cells of a CSV input are copied as they are written there.
        count_nulled: Counts the values of a column that become null, because the format lacks them;
            None for a format that lacks none.
    """

    name: str
    suffixes: tuple[str, ...]
    verbatim: bool = False
    count_nulled: Callable[[pa.ChunkedArray], int] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TextOutput(OutputFormat):
    """A format without types, whose parts are joined as they are.

    Attributes:
        serialize_rows: Returns the rows of a table as bytes.
        serialize_header: Returns what is before the first row of columns with these names.
    """

    serialize_rows: Callable[[pa.Table], bytes]
    serialize_header: Callable[[Sequence[str]], bytes] = lambda _: b""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColumnarOutput(OutputFormat):
    """A format with types of its own.

    Attributes:
        open_writer: Returns a writer of tables of one schema to a file or stream, which has
            `write_table` and `close`, and is a context manager.
        read_schema: Returns the schema of a file.
        read: Returns the table in a file.
    """

    open_writer: Callable[[Any, pa.Schema], Any]
    read_schema: Callable[[Path], pa.Schema]
    read: Callable[[Path], pa.Table]

    def serialize(self, table: pa.Table, metadata: Mapping[str, str]) -> memoryview:
        """Serialize a table as a file with this metadata."""
        sink = pa.BufferOutputStream()
        table = table.replace_schema_metadata(dict(metadata))
        with self.open_writer(sink, table.schema) as writer:
            writer.write_table(table)
        return memoryview(sink.getvalue())
