"""Arrow arrays from the cells of a segment: of the signature's type if every cell fits it exactly.

What fits no type is text: JSON, except for cells that are texts already.
"""

import json
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cloche.serving.spool.segment import array_of

# MLflow's types → Arrow's
_TYPES = {
    "boolean": pa.bool_(), "integer": pa.int32(), "long": pa.int64(), "float": pa.float32(),
    "double": pa.float64(), "string": pa.string(), "binary": pa.binary(),
    "datetime": pa.timestamp("us"),
}  # fmt: skip
_LOSSY = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)


def declared_type(mlflow_type: str) -> pa.DataType | None:
    """Return the Arrow type of a type in a signature; None for nested types and tensors."""
    return _TYPES.get(mlflow_type)


def array(cells: Any, rows: int, declared: pa.DataType | None) -> pa.Array:
    """Return the cells of a column of one record as an array.

    Args:
        cells: A list of cells, an array in the form of `array_cells`, or an Arrow array.
        rows: The number of rows.
        declared: The type in the signature; None if there is none.
    """
    if isinstance(cells, pa.Array | pa.ChunkedArray):
        found = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    elif (typed := array_of(cells)) is not None:
        found = _from_numpy(np.frombuffer(typed[1], np.dtype(typed[0])), rows)
    else:
        found = _from_list(cells, declared)
    if declared is not None and found.type != declared:
        found = _as_declared(found, declared)
    return _exact_moments(found)


def united(arrays: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Return arrays of one column as one, in the narrowest type that holds all exactly."""
    types = {one.type for one in arrays if not pa.types.is_null(one.type)}
    if not types:
        return pa.chunked_array(arrays, pa.null())
    target = next(iter(types)) if len(types) == 1 else reduce(_wider, sorted(types, key=str))
    try:
        return pa.chunked_array([one.cast(target) for one in arrays], target)
    except _LOSSY:
        return pa.chunked_array([_texts(one) for one in arrays], pa.string())


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        return pa.timestamp("ns")
    if all(pa.types.is_integer(kind) for kind in (one, other)):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other)):
        return pa.float64()
    return one if one == other else pa.string()


def _from_numpy(values: np.ndarray, rows: int) -> pa.Array:
    if values.dtype == np.float16:
        values = values.astype(np.float32)  # Parquet's readers lack it
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    flat = pa.array(values)
    if pa.types.is_date(flat.type):
        flat = flat.cast(pa.timestamp("s"))
    if not rows or len(values) == rows:
        return flat
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * (len(values) // rows))
    return pa.ListArray.from_arrays(offsets, flat)


def _from_list(cells: list[Any], declared: pa.DataType | None) -> pa.Array:
    if declared is not None and pa.types.is_timestamp(declared):
        return _moments(cells)
    if declared is not None:
        try:
            found = pa.array(cells, declared)
        except _LOSSY:
            pass
        else:
            if not pa.types.is_float32(declared) or _same(found, pa.array(cells, pa.float64())):
                return found
    try:
        return pa.array(cells)
    except _LOSSY:
        return pa.array([_text(cell) for cell in cells], pa.string())


def _moments(cells: list[Any]) -> pa.Array:
    import pandas as pd  # noqa: PLC0415  # slow and large, and most logs have no moments as text

    from cloche.values.datetimes import parse_datetimes  # noqa: PLC0415

    series = pd.Series(cells, dtype=object)
    if not series.notna().any():
        return pa.nulls(len(cells), pa.timestamp("us"))
    parsed = parse_datetimes(pd.to_datetime(series) if _are_moments(cells) else series)
    if parsed is None or parsed.unreadable.any():
        return pa.array([_text(cell) for cell in cells], pa.string())
    return pa.array(parsed.values.to_numpy())


def _are_moments(cells: list[Any]) -> bool:
    return any(hasattr(cell, "utcoffset") for cell in cells)


def _as_declared(found: pa.Array, declared: pa.DataType) -> pa.Array:
    """Cast to the declared type; a float's NaN is a missing cell of a type that has no NaN."""
    for one in (found, _without_nan(found)):
        if one is not None and _may_cast(one.type, declared):
            try:
                cast = one.cast(declared)
            except _LOSSY:
                continue
            if not pa.types.is_float32(declared) or _same(cast, one):
                return cast
    return found


def _same(one: pa.Array, other: pa.Array) -> bool:
    """Tell whether numbers are equal in 64 bits; NaN equals NaN."""
    first, second = (
        cells.cast(pa.float64()).to_numpy(zero_copy_only=False) for cells in (one, other)
    )
    return bool(np.array_equal(first, second, equal_nan=True))


def _may_cast(source: pa.DataType, target: pa.DataType) -> bool:
    """Numbers become numbers and moments moments; a text that reads as a number stays a text."""
    if pa.types.is_timestamp(target):
        return bool(pa.types.is_timestamp(source))
    numbers = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (source, target)]
    same: bool = pa.types.is_null(source) or pa.types.is_large_string(source)
    return all(numbers) or same


def _without_nan(found: pa.Array) -> pa.Array | None:
    if not pa.types.is_floating(found.type):
        return None
    return pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found)


def _exact_moments(found: pa.Array) -> pa.Array:
    """Return moments in microseconds, which every reader has, unless that would lose digits."""
    if not pa.types.is_timestamp(found.type) or found.type.unit == "us":
        return found
    try:
        return found.cast(pa.timestamp("us", found.type.tz))
    except _LOSSY:
        return found


def _texts(found: pa.Array) -> pa.Array:
    return pa.array([_text(cell) for cell in found.to_pylist()], pa.string())


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, default=str, ensure_ascii=False)
