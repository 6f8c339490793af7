"""Writes cells as text, always as the same one.

Numbers are written as the shortest text that reads back as the same number, whether it is read in
64 bits or in fewer. Datetimes and bytes in JSON are written as the server writes them.
"""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.utils.proto_json_utils import NumpyEncoder


class _Encoder(NumpyEncoder):
    """MLflow's JSON encoder, which writes `str(value)` for types that MLflow cannot encode."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)  # type: ignore[no-untyped-call]
        except TypeError:
            return str(o)


_encode = _Encoder(ensure_ascii=False, allow_nan=False).encode


def count_not_in_json(column: pa.ChunkedArray | pa.Array) -> int:
    """Count the numbers in a column that JSON lacks: NaN and infinities, also nested ones."""
    kind = column.type
    if pa.types.is_floating(kind):
        odd: int = pc.sum(pc.invert(pc.is_finite(column))).as_py() or 0
        return odd
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return count_not_in_json(pc.list_flatten(column))
    if pa.types.is_struct(kind):
        return sum(count_not_in_json(pc.struct_field(column, at)) for at in range(kind.num_fields))
    return 0


def json_texts(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Return cells as JSON texts; null for values that JSON lacks."""
    kind = column.type
    if isinstance(kind, pa.JsonType):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), float_texts(column), pa.scalar(None, pa.string()))
    if pa.types.is_integer(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "true", "false")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.cast(column, pa.string())
        plain = pc.invert(pc.match_substring_regex(column, r'["\\\x00-\x1f]'))
        if pc.all(pc.fill_null(plain, True)).as_py():
            return pc.binary_join_element_wise('"', column, '"', "")
    return each(column, lambda value: _encode(_finite(value)))


def float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floats as text that reads back as floats: 1.0 and not 1."""
    numbers = column.cast(pa.float64())
    text = pc.cast(numbers, pa.string())
    if not pc.any(pc.equal(pc.trunc(numbers), numbers)).as_py():
        return text
    whole = pc.match_substring_regex(text, r"^-?\d+$")
    return pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)


def each(column: pa.ChunkedArray, text: Callable[[Any], str]) -> pa.Array:
    """Apply a Python function to each cell that is not missing."""
    moments = pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type)
    # Python's datetimes end at microseconds and at the year 9999
    values = column.to_pandas() if moments else column.to_pylist()
    return pa.array([None if _is_missing(one) else text(one) for one in values], pa.string())


def join_cells(
    cells: list[pa.Array | pa.ChunkedArray], separator: str, before: str, after: str
) -> bytes:
    """Return the rows of some columns of cells as lines, encoded."""
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


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT


def _finite(value: Any) -> Any:
    """Return `value` with None in place of numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
