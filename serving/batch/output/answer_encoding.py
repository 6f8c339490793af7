"""Converts predictions of a model to an Arrow table, column by column, or to JSON.

A missing value becomes null, whether it is None, NaN, NA or NaT. Values without a common Arrow type
become JSON as the server writes it, in Arrow's JSON type.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.utils.proto_json_utils import NumpyEncoder

from cloche.serving.errors import JobFailed
from cloche.values.cells import is_missing

JSON = pa.json_(pa.string())
_encode = NumpyEncoder(allow_nan=False).encode  # JSON has no infinities
_MOMENTS = ("datetime", "datetime64", "timedelta", "timedelta64")
_LISTS = (list, tuple, np.ndarray)


def table(raw: Any, rows: int, names: list[str]) -> pa.Table:
    """Return the predictions that a model returned for `rows` rows as a table.

    Raises:
        JobFailed: There is not one prediction for each row, or a value cannot be written.
    """
    columns = {}
    for name, values in named_columns(raw, names).items():
        one_for_each = values if _is_column(values) else [values]
        count = len(one_for_each)
        if count != rows:
            raise JobFailed(
                f"The model answered {rows:,} rows with {count:,} values of {name!r}. A batch job "
                "needs one for each row."
            )
        try:
            columns[name] = column(one_for_each)
        except (pa.ArrowException, TypeError, ValueError, RecursionError) as error:
            raise JobFailed(
                f"The model answered {name!r} with values that no table and no JSON can hold: "
                f"{type(error).__name__}. Let it answer numbers, text, dates, or lists and "
                "dictionaries of these."
            ) from error
    return pa.table(columns)


def named_columns(raw: Any, names: list[str]) -> dict[str, Any]:
    """Return predictions of any kind as columns by name.

    Frames, records and dictionaries keep their names. Arrays get the names of the output signature
    if their number fits, else `prediction`, or `prediction_0`, `prediction_1` and so on.
    """
    if isinstance(raw, pd.DataFrame):
        return {str(name): raw.iloc[:, at] for at, name in enumerate(raw.columns)}
    if isinstance(raw, dict):
        return {str(name): value for name, value in raw.items()}
    if isinstance(raw, list) and raw and all(isinstance(one, dict) for one in raw):
        keys = dict.fromkeys(key for one in raw for key in one)
        return {str(key): [one.get(key) for one in raw] for key in keys}
    if type(raw).__module__.startswith("scipy.sparse"):  # a model's environment may lack scipy
        raw = raw.toarray()
    if isinstance(raw, np.ndarray) and raw.ndim == 2 and raw.shape[1] > 0:
        width = raw.shape[1]
        several = [f"prediction_{at}" for at in range(width)] if width > 1 else ["prediction"]
        chosen = names if len(names) == width else several
        return {name: raw[:, at] for at, name in enumerate(chosen)}
    return {names[0] if len(names) == 1 else "prediction": raw}


def column(values: Any) -> pa.Array:
    """Return a column of values as an Arrow array, as JSON if they have no common type.

    Raises:
        pa.ArrowException, TypeError, ValueError, RecursionError: A value cannot be converted.
    """
    values = _known_to_arrow(values)
    try:
        if not _is_mixed(values):
            return _plain(pa.Array.from_pandas(values), values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass  # values of different kinds, or wider than Arrow's types
    cells = map(_without_nan, values)
    return pa.array([None if one is None else _encode(one) for one in cells]).cast(JSON)


def _is_column(values: Any) -> bool:
    sized = hasattr(values, "__len__") and getattr(values, "ndim", 1) > 0
    return sized and not isinstance(values, (str, bytes, dict))


def _known_to_arrow(values: Any) -> Any:
    """Return values as pandas types where Arrow would refuse them or truncate datetimes."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return values.tolist()
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, pd.SparseDtype):
        return values.sparse.to_dense()
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return values.astype(dtype.newbyteorder("="))
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM" and values.dtype != "M8[D]":
        return pd.Series(values)
    if _are_objects(values) and pd.api.types.infer_dtype(values) in _MOMENTS:
        return pd.Series(values, dtype=object).infer_objects()
    return values


def _are_objects(values: Any) -> bool:
    return pd.api.types.is_object_dtype(getattr(values, "dtype", object))


def _is_mixed(values: Any) -> bool:
    """Return whether values have several types, which Arrow might silently convert to one."""
    if not _are_objects(values):
        return False
    kind = pd.api.types.infer_dtype(values)
    if kind not in ("mixed", "mixed-integer", "date", *_MOMENTS):
        return False
    kinds = {list if type(one) in _LISTS else type(one) for one in values if not is_missing(one)}
    return len(kinds) > 1 or kind in _MOMENTS


def _plain(array: Any, values: Any) -> pa.Array:
    """Return an array as a single chunk, of a type that every reader supports."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if isinstance(array.type, pa.BaseExtensionType):  # periods, intervals, UUIDs
        return pa.array([None if is_missing(one) else str(one) for one in values], pa.string())
    if "struct<>" in str(array.type):
        raise pa.ArrowInvalid("Parquet has no dictionaries without keys")
    return array


def _without_nan(value: Any) -> Any:
    """Return `value` with None for every missing value in it; None if `value` itself is missing."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return None if is_missing(value) else value
