"""Scored rows as bytes: Parquet, Arrow, CSV and JSON lines, the same bytes for the same rows.

Numbers are written as the shortest text that reads back as the same number.
"""

import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_COMPRESSION = "zstd"


def parquet(table: pa.Table, notes: Mapping[str, str]) -> memoryview:
    """A Parquet file; `notes` become its metadata."""
    sink = pa.BufferOutputStream()
    table = table.replace_schema_metadata(dict(notes))
    with parquet_writer(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def parquet_writer(sink: object, schema: pa.Schema) -> pq.ParquetWriter:
    """What writes Parquet to a file or stream.

    Only text gets dictionaries: for scores and ids they cost more than all the rest of the writing.
    """
    text = [
        one.name
        for one in schema
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)
    ]
    return pq.ParquetWriter(sink, schema, compression=_COMPRESSION, use_dictionary=text or False)


def arrow(table: pa.Table) -> memoryview:
    """An Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def csv(table: pa.Table) -> bytes:
    """Lines of CSV without a header."""
    cells = [_quoted(_text(column)) for column in table.columns]
    return _joined(cells, ",", "", "\n")


def csv_header(names: list[str]) -> bytes:
    """The header line."""
    return csv(pa.table([pa.array([name]) for name in names], names=names))


def jsonl(table: pa.Table) -> bytes:
    """Lines with a JSON object each; NaN and infinities, which JSON does not have, become null."""
    cells = []
    for position, name in enumerate(table.column_names):
        key = ("" if position == 0 else ", ") + json.dumps(name, ensure_ascii=False) + ": "
        values = pc.fill_null(_json(table.column(position)), "null")
        cells.append(pc.binary_join_element_wise(key, values, ""))
    return _joined(cells, "", "{", "}\n")


def _joined(
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
        return b"".join(_content(chunk) for chunk in whole.chunks)
    return _content(whole)


def _content(strings: pa.LargeStringArray) -> bytes:
    """All strings of an array, which lie behind one another in its buffer."""
    _, offsets, values = strings.buffers()
    ends = memoryview(offsets).cast("q")
    first, last = ends[strings.offset], ends[strings.offset + len(strings)]
    return bytes(memoryview(values)[first:last]) if values else b""


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells as text; a missing one is empty."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.cast(kind.value_type))
    if pa.types.is_floating(kind):
        text = _float_text(column)
    elif pa.types.is_boolean(kind):
        text = pc.if_else(column, "True", "False")
    elif pa.types.is_nested(kind) or pa.types.is_binary(kind):
        text = pa.chunked_array([_slow_json(column)])
    else:
        text = pc.cast(column, pa.string())
    return pc.fill_null(text, "")


def _float_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats that read back as floats: 1.0 and not 1."""
    text = pc.cast(column, pa.string())
    whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)


def _quoted(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells with quotes around those that need them; an empty one needs none."""
    needed = pc.match_substring_regex(cells, '[",\r\n]')
    if not pc.any(needed).as_py():
        return cells
    doubled = pc.replace_substring(cells, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), cells)


def _json(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), _float_text(column), pa.scalar(None, pa.string()))
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "true", "false")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.cast(column, pa.string())
        plain = pc.invert(pc.match_substring_regex(column, r'["\\\x00-\x1f]'))
        if pc.all(pc.fill_null(plain, True)).as_py():  # Arrow's interface
            return pc.binary_join_element_wise('"', column, '"', "")
    return _slow_json(column)


def _slow_json(column: pa.ChunkedArray) -> pa.Array:
    values = column.to_pylist()
    return pa.array(
        [
            None if one is None else json.dumps(one, ensure_ascii=False, default=str)
            for one in values
        ],
        pa.string(),
    )
