"""Serializes scored rows as Parquet, Arrow, CSV or JSON lines, always to the same bytes.

Numbers are written as the shortest text that reads back as the same number, whether it is read in
64 bits or in fewer. Datetimes and bytes in JSON are written as the server writes them.
"""

import base64
import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from mlflow.utils.proto_json_utils import NumpyEncoder

_COMPRESSION = "zstd"
_FIXED_SIZE = pa.binary(1).id


class _Encoder(NumpyEncoder):
    """MLflow's JSON encoder, which writes `str(value)` for types that MLflow cannot encode."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)  # type: ignore[no-untyped-call]
        except TypeError:
            return str(o)


_encode = _Encoder(ensure_ascii=False, allow_nan=False).encode


def parquet(table: pa.Table, notes: Mapping[str, str]) -> memoryview:
    """Serialize a table as a Parquet file with `notes` as its metadata."""
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata(dict(notes))
    with parquet_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def parquet_writer(sink: object, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of Parquet to a file or stream.

    Only text gets dictionaries: for scores and ids they cost more than all the rest of the writing.
    """
    text = [
        one.name
        for one in schema
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)
    ]
    return pq.ParquetWriter(sink, schema, compression=_COMPRESSION, use_dictionary=text or False)


def arrow(table: pa.Table) -> memoryview:
    """Serialize a table as an Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def csv(table: pa.Table) -> bytes:
    """Serialize a table as lines of CSV without a header."""
    texts = [_text(column) for column in table.columns]
    cells = [_quoted(*each) for each in zip(texts, table.schema.types, strict=True)]
    if len(cells) > 1 and all(map(operator.is_, cells, texts)):
        return _lines_by_arrow(cells)
    if len(cells) == 1:  # readers skip an empty line
        cells = [pc.if_else(pc.equal(cells[0], ""), '""', cells[0])]
    return _join_cells(cells, ",", "", "\n")


def _lines_by_arrow(cells: list[pa.ChunkedArray]) -> bytes:
    """Serialize cells without quotes by Arrow's writer, which cannot quote only where needed."""
    sink = pa.BufferOutputStream()
    unquoted = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    arrow_csv.write_csv(pa.table(cells, list(map(str, range(len(cells))))), sink, unquoted)
    lines: bytes = sink.getvalue().to_pybytes()
    return lines


def csv_header(names: list[str]) -> bytes:
    """Return the header line of CSV."""
    return csv(pa.table([pa.array([name]) for name in names], names=names))


def jsonl(table: pa.Table) -> bytes:
    """Serialize a table as JSON lines; values that `count_without_json` counts become null."""
    cells = []
    for position, name in enumerate(table.column_names):
        key = ("" if position == 0 else ", ") + json.dumps(name, ensure_ascii=False) + ": "
        values = pc.fill_null(json_texts(table.column(position)), "null")
        cells.append(pc.binary_join_element_wise(key, values, ""))
    return _join_cells(cells, "", "{", "}\n")


def count_without_json(column: pa.ChunkedArray | pa.Array) -> int:
    """Count the numbers in a column that JSON lacks: NaN and infinities, also nested ones."""
    kind = column.type
    if pa.types.is_floating(kind):
        odd: int = pc.sum(pc.invert(pc.is_finite(column))).as_py() or 0
        return odd
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return count_without_json(pc.list_flatten(column))
    if pa.types.is_struct(kind):
        return sum(count_without_json(pc.struct_field(column, at)) for at in range(kind.num_fields))
    return 0


def _join_cells(
    cells: list[pa.Array | pa.ChunkedArray], separator: str, before: str, after: str
) -> bytes:
    if not cells or not len(cells[0]):
        return b""
    large = [pc.cast(cell, pa.large_string()) for cell in cells]
    inner = pc.binary_join_element_wise(*large, pa.scalar(separator, pa.large_string()))
    empty = pa.scalar("", pa.large_string())
    lines = pc.binary_join_element_wise(
        pa.scalar(before, pa.large_string()), inner, pa.scalar(after, pa.large_string()), empty
    )
    whole = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    if isinstance(whole, pa.ChunkedArray):
        return b"".join(map(string_bytes, whole.chunks))
    return string_bytes(whole)


def string_bytes(strings: pa.StringArray | pa.LargeStringArray) -> bytes:
    """Return all strings of an array one after the other, as its buffer holds them."""
    _, offsets, values = strings.buffers()
    ends = memoryview(offsets).cast("q" if pa.types.is_large_string(strings.type) else "i")
    first, last = ends[strings.offset], ends[strings.offset + len(strings)]
    return bytes(memoryview(values)[first:last]) if values else b""


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return cells as text; a missing value is empty."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.cast(kind.value_type))
    if pa.types.is_floating(kind):
        text = _float_text(column)
    elif pa.types.is_boolean(kind):
        text = pc.if_else(column, "True", "False")
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind.id == _FIXED_SIZE:
        text = _each(column, lambda value: base64.b64encode(value).decode())
    elif isinstance(kind, pa.JsonType):
        text = _each(column, _unquoted)
    elif pa.types.is_nested(kind):
        text = json_texts(column)
    elif pa.types.is_duration(kind) or isinstance(kind, pa.BaseExtensionType):
        text = _each(column, str)
    else:
        text = pc.cast(column, pa.string())
    return pc.fill_null(pa.chunked_array([text]) if isinstance(text, pa.Array) else text, "")


def _unquoted(text: str) -> str:
    """Return JSON as a cell of CSV; strings and booleans as in columns of these types."""
    value = json.loads(text)
    if not isinstance(value, (str, bool)):
        return text
    return str(value).encode(errors="backslashreplace").decode()


def _float_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floats as text that reads back as floats: 1.0 and not 1."""
    numbers = column.cast(pa.float64())
    text = pc.cast(numbers, pa.string())
    if not pc.any(pc.equal(pc.trunc(numbers), numbers)).as_py():
        return text
    whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _quoted(cells: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Put quotes around cells with commas, quotes or line ends; `kind` is the column's type."""
    if pa.types.is_primitive(kind) and not pa.types.is_temporal(kind):
        return cells  # numbers and booleans
    text = b"".join(map(string_bytes, cells.chunks))
    if not any(character in text for character in b',"\r\n'):
        return cells
    needed = pc.match_substring_regex(cells, '[",\r\n]')
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), cells)


def json_texts(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return cells as JSON texts; null for values that JSON lacks."""
    kind = column.type
    if isinstance(kind, pa.JsonType):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), _float_text(column), pa.scalar(None, pa.string()))
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "true", "false")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.cast(column, pa.string())
        plain = pc.invert(pc.match_substring_regex(column, r'["\\\x00-\x1f]'))
        if pc.all(pc.fill_null(plain, True)).as_py():
            return pc.binary_join_element_wise('"', column, '"', "")
    return _each(column, lambda value: _encode(_finite(value)))


def _each(column: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.Array:
    """Apply a Python function to each cell that is not missing."""
    moments = pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type)
    # Python's datetimes end at microseconds and at the year 9999
    values = column.to_pandas() if moments else column.to_pylist()
    return pa.array([None if _is_missing(one) else text(one) for one in values], pa.string())


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT


def _finite(value: Any) -> Any:
    """Return `value` with None in place of numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
