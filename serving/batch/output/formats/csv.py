"""CSV: text with a header; a missing value is an empty cell."""

import base64
import json
import operator
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from cloche.serving.batch.output.formats.format import TextOutput
from cloche.serving.batch.storage import cell_texts

_FIXED_SIZE = pa.binary(1).id


def _rows(table: pa.Table) -> bytes:
    """Serialize a table as lines of CSV without a header."""
    texts = [_text(column) for column in table.columns]
    cells = [_quoted(*pair) for pair in zip(texts, table.schema.types, strict=True)]
    if len(cells) > 1 and all(map(operator.is_, cells, texts)):  # `_quoted` had nothing to quote
        return _lines_by_arrow(cells)
    if len(cells) == 1:  # readers skip an empty line
        cells = [pc.if_else(pc.equal(cells[0], ""), '""', cells[0])]
    return cell_texts.join_cells(cells, ",", "", "\n")


def _lines_by_arrow(cells: list[pa.ChunkedArray]) -> bytes:
    """Serialize cells without quotes by Arrow's writer, which cannot quote only where needed."""
    sink = pa.BufferOutputStream()
    unquoted = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    arrow_csv.write_csv(pa.table(cells, list(map(str, range(len(cells))))), sink, unquoted)
    lines: bytes = sink.getvalue().to_pybytes()
    return lines


def _header(names: Sequence[str]) -> bytes:
    return _rows(pa.table([pa.array([name]) for name in names], names=names))


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return cells as text; a missing value is empty."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.cast(kind.value_type))
    if pa.types.is_floating(kind):
        text = cell_texts.float_texts(column)
    elif pa.types.is_boolean(kind):
        text = pc.if_else(column, "True", "False")
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind.id == _FIXED_SIZE:
        text = cell_texts.each(column, lambda value: base64.b64encode(value).decode())
    elif isinstance(kind, pa.JsonType):
        text = cell_texts.each(column, _unquoted)
    elif pa.types.is_nested(kind):
        text = cell_texts.json_texts(column)
    elif pa.types.is_duration(kind) or isinstance(kind, pa.BaseExtensionType):
        text = cell_texts.each(column, str)
    else:
        text = pc.cast(column, pa.string())
    return pc.fill_null(pa.chunked_array([text]) if isinstance(text, pa.Array) else text, "")


def _unquoted(text: str) -> str:
    """Return JSON as a cell of CSV; strings and booleans as in columns of these types."""
    value = json.loads(text)
    if not isinstance(value, (str, bool)):
        return text
    return str(value).encode(errors="backslashreplace").decode()


def _quoted(cells: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Put quotes around cells with commas, quotes or line ends; return `cells` itself without any.

    `kind` is the type of the column.
    """
    if pa.types.is_primitive(kind) and not pa.types.is_temporal(kind):
        return cells  # numbers and booleans
    text = b"".join(map(cell_texts.string_bytes, cells.chunks))
    if not any(character in text for character in b',"\r\n'):
        return cells
    needed = pc.match_substring_regex(cells, '[",\r\n]')
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), cells)


FORMAT = TextOutput(
    name="csv", suffixes=(".csv",), verbatim=True, serialize_rows=_rows, serialize_header=_header
)
