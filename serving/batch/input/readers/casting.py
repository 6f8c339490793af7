"""Casts columns to the types of the signature, and finds rows whose values would change.

Files have their own types, and a column's dtype in pandas depends on the rows of a part: the same
column is int64 in one part and float64 in the next, where a value is missing. MLflow would refuse
one of them. So columns are cast to the signature's types before MLflow enforces the signature.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema

from cloche.values import datetimes

Types = Mapping[Any, DataType]  # by name, or by position if the signature has no names

WHOLE = re.compile(r"\s*[+-]?\d+(?:\.0*)?\s*", re.ASCII)
INTEGERS: dict[DataType, Any] = {DataType.long: np.int64, DataType.integer: np.int32}
_FLOATS: dict[DataType, Any] = {DataType.double: np.float64, DataType.float: np.float32}


def scalar_types(schema: Schema | None) -> dict[str | int, DataType]:
    """Return column → scalar type of a schema; empty for tensors and without a schema."""
    if schema is None or schema.is_tensor_spec():
        return {}
    columns = zip(schema.input_names(), schema.input_types(), strict=True)
    return {name: kind for name, kind in columns if isinstance(kind, DataType)}


def type_of(types: Types, name: str, place: int) -> DataType | None:
    """Return the type of a column by its name or position; None if the signature lacks it."""
    return types.get(name, types.get(place))


def cast(frame: pd.DataFrame, types: Types) -> tuple[pd.DataFrame, dict[int, str]]:
    """Return the rows that fit the types, indexed by position, and position → reason of the others.

    A column whose dtype cannot be cast as a whole is left unchanged, so that MLflow reports it.
    """
    refused: dict[int, str] = {}
    columns: dict[str, Any] = {}
    known = {name: type_of(types, name, at) for at, name in enumerate(frame.columns)}
    for name, kind in known.items():
        caster = _CASTERS.get(kind)
        columns[name] = frame[name]
        if kind is not None and caster is not None and len(frame):
            values, bad = caster(frame[name], kind)
            columns[name] = values
            for position in np.flatnonzero(bad).tolist():
                refused.setdefault(position, f"column {name!r}: expected {kind.name}")
    typed = pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))
    if not refused:
        return typed, refused
    typed = typed.drop(index=list(refused))
    for name, kind in known.items():
        if kind in INTEGERS and typed[name].dtype.kind in "iuf":
            typed[name] = typed[name].astype(INTEGERS[kind])
    return typed, refused


_KINDS = {
    "i": "whole numbers", "u": "whole numbers", "f": "numbers", "b": "true and false",
    "M": "datetimes", "m": "durations",
}  # fmt: skip
_NEEDED: dict[DataType | None, str] = {
    DataType.long: "iu", DataType.integer: "iu", DataType.double: "fiu", DataType.float: "fiu",
    DataType.boolean: "b", DataType.datetime: "M", DataType.string: "",
}  # fmt: skip


def type_advice(frame: pd.DataFrame, types: Types) -> str:
    """Return advice about columns of another type than the signature's; empty if none."""
    found = []
    for at, (name, values) in enumerate(frame.items()):
        kind = type_of(types, str(name), at)
        text = isinstance(values.dtype, pd.StringDtype)
        holds = "text" if text else _KINDS.get(values.dtype.kind, "")
        fits = text if kind is DataType.string else values.dtype.kind in _NEEDED.get(kind, "")
        if kind is not None and kind in _NEEDED and holds and not fits:
            found.append(f"the column {name!r} holds {holds}, and the model takes {kind.name}")
    if not found:
        return ""
    return f"{'; '.join(found)}. Write {'it' if len(found) == 1 else 'them'} so in the input."


def _to_integer(values: pd.Series, kind: DataType) -> tuple[pd.Series, Any]:
    wanted = INTEGERS[kind]
    if isinstance(values.dtype, pd.StringDtype):
        return _digits(values, wanted)
    if values.dtype.kind in "iu":
        limits = np.iinfo(wanted)
        gaps = values.isna().to_numpy()
        if isinstance(values.dtype, pd.api.extensions.ExtensionDtype):  # nullable integers
            values = pd.Series(values.fillna(0).to_numpy(), values.index)
        bad = ((values < limits.min) | (values > limits.max)).to_numpy() | gaps
        return (values if bad.any() else values.astype(wanted)), bad
    if values.dtype.kind != "f":
        return values, np.zeros(len(values), bool)
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    limit = 2.0 ** (np.iinfo(wanted).bits - 1)
    with np.errstate(invalid="ignore"):
        good = (np.floor(numbers) == numbers) & (numbers >= -limit) & (numbers < limit)
    return (values.astype(wanted) if good.all() else values), ~good


def _digits(values: pd.Series, wanted: Any) -> tuple[pd.Series, Any]:
    """Convert texts like `7` or `7.0` to integers, without rounding those beyond 2^53."""
    limits = np.iinfo(wanted)
    numbers = [
        int(cell.partition(".")[0]) if isinstance(cell, str) and WHOLE.fullmatch(cell) else None
        for cell in values
    ]
    bad = np.array([one is None or not limits.min <= one <= limits.max for one in numbers], bool)
    found = [0 if wrong else one for one, wrong in zip(numbers, bad.tolist(), strict=True)]
    return pd.Series(found, values.index, dtype=wanted), bad


def _to_float(values: pd.Series, kind: DataType) -> tuple[pd.Series, Any]:
    if isinstance(values.dtype, pd.StringDtype):
        numbers = pd.to_numeric(values, errors="coerce")
        return numbers.astype(_FLOATS[kind]), (numbers.isna() & values.notna()).to_numpy()
    if values.dtype.kind in "iuf":
        return values.astype(_FLOATS[kind]), np.zeros(len(values), bool)
    return values, np.zeros(len(values), bool)


def _to_text(values: pd.Series, kind: DataType) -> tuple[pd.Series, Any]:  # noqa: ARG001
    """Convert integers to their digits; other numbers have no unique text and stay unchanged."""
    if values.dtype.kind not in "iu":
        return values, np.zeros(len(values), bool)
    return values.astype(object).where(values.notna(), None).astype("str"), np.zeros(
        len(values), bool
    )


def _to_datetime(values: pd.Series, kind: DataType) -> tuple[pd.Series, Any]:  # noqa: ARG001
    found = datetimes.parse_datetimes(values)
    return found if found is not None else (values, np.zeros(len(values), bool))


TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def _to_boolean(values: pd.Series, kind: DataType) -> tuple[pd.Series, Any]:  # noqa: ARG001
    if not isinstance(values.dtype, pd.StringDtype):
        return values, np.zeros(len(values), bool)
    truths = values.astype(object).map(TRUTHS)
    bad = (truths.isna() & values.notna()).to_numpy()
    return truths if truths.isna().any() else truths.astype(bool), bad


_CASTERS: dict[DataType | None, Callable[[pd.Series, DataType], tuple[pd.Series, Any]]] = {
    DataType.long: _to_integer,
    DataType.integer: _to_integer,
    DataType.double: _to_float,
    DataType.float: _to_float,
    DataType.datetime: _to_datetime,
    DataType.boolean: _to_boolean,
    DataType.string: _to_text,
}
