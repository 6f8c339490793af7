"""The tensors of answers by the Open Inference Protocol, made of what a model answers."""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.open_inference.tensors import (
    BYTES,
    DTYPES,
    EXACT_IN_DOUBLE,
    LENGTH,
    RANGES,
    Array,
    objects,
)
from cloche.serving.host.predictors.prediction_writer import encode
from cloche.values.cells import is_missing

_DATATYPES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
_EXACT = (-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)
# Strict JSON has no NaN and no infinities: null stands for NaN, and strings for infinities.
_NAMED = {math.inf: "Infinity", -math.inf: "-Infinity"}
_STRICT = {"NaN": None, **{name: name for name in _NAMED.values()}}
_TEXTUAL = frozenset({str, bytes, dict})
_SCALARS = (bool, int, float, np.generic, type(None), type(pd.NA), type(pd.NaT))


class OutputTensor(NamedTuple):
    """One tensor of an answer.

    In JSON, `null` stands for a missing value of any datatype, and strings for infinities. Binary
    data and gRPC have no null; `dense` documents their form of a missing value.

    Attributes:
        values: An array, of objects if whole numbers or booleans are missing (None); for BYTES a
            flat list of str, bytes and None.
        missing: The positions of missing elements that `dense` left empty, separated by commas.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any
    missing: str = ""

    def elements(self) -> list[Any]:
        """Return the elements as a flat list for strict JSON, with bytes as base64."""
        if self.datatype == BYTES:
            return [
                base64.b64encode(value).decode() if isinstance(value, bytes) else value
                for value in self.values
            ]
        flat: list[Any] = self.values.ravel().tolist()
        if self.datatype[0] == "F" and not math.isfinite(sum(flat)):
            return [cell if math.isfinite(cell) else _NAMED.get(cell) for cell in flat]
        return flat

    def dense(self) -> "OutputTensor":
        """Fill in missing elements, for binary data and gRPC.

        A missing text becomes empty, and `missing` lists its position. Whole numbers and booleans
        with missing elements become FP64 with NaN.

        Raises:
            RequestRefused: FP64 would change a whole number.
        """
        if self.datatype == BYTES:
            missing = ""
            if None in self.values:
                missing = ",".join(str(at) for at, value in enumerate(self.values) if value is None)
            packed = [
                value if isinstance(value, bytes) else (value or "").encode()
                for value in self.values
            ]
            return self._replace(values=packed, missing=missing)
        if self.values.dtype != object:
            return self
        if not _within([cell for cell in self.values.flat if cell is not None], _EXACT):
            raise RequestRefused(
                f"Output {self.name!r}: a value is missing, and another is beyond 2^53, where FP64 "
                "cannot hold every whole number. Only JSON holds both: ask over HTTP, without "
                "binary_data."
            )
        return self._replace(datatype="FP64", values=self.values.astype(np.float64))

    def to_bytes(self) -> bytes:
        """Pack the elements of a dense tensor as little-endian bytes."""
        if self.datatype == BYTES:
            return b"".join(LENGTH.pack(len(text)) + text for text in self.values)
        packed: bytes = self.values.astype(DTYPES[self.datatype], copy=False).tobytes()
        return packed


def make_output(name: str, values: Any) -> OutputTensor:
    """Convert a model's values for one output to a tensor.

    Numbers and booleans keep their types. All other values become text: dates as MLflow writes
    them, and other objects as JSON.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return OutputTensor(name, BYTES, values.shape or (1,), values.ravel().tolist())
    datatype, array = _datatype_and_array(values)
    shape = array.shape or (1,)
    if datatype != BYTES:
        return OutputTensor(name, datatype, shape, array)
    return OutputTensor(name, BYTES, shape, [_text(value) for value in array.ravel()])


def _datatype_and_array(values: Any) -> tuple[str, Array]:
    """Return the datatype and array of `values`; of objects for BYTES or with missing elements.

    A typed column keeps its type. Untyped values, as in lists, get the type that represents all of
    them unchanged.
    """
    if isinstance(values, pd.Series):
        dtype: Any = getattr(values.dtype, "numpy_dtype", values.dtype)  # for nullable types
        if dtype.kind in "biu" and values.hasnans:
            return _DATATYPES[dtype], values.astype(object).where(values.notna(), None).to_numpy()
        values = values.to_numpy() if dtype.kind in "biuf" else values.to_list()
    masked = isinstance(values, np.ma.MaskedArray)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf" and not masked:
        return _from_numbers(values)
    return _from_cells(values if isinstance(values, (list, tuple)) else _to_list(values))


def _from_cells(cells: Sequence[Any]) -> tuple[str, Array]:
    if not _TEXTUAL.isdisjoint(map(type, cells)):
        return BYTES, objects(cells)
    try:
        array = np.array(cells)
    except ValueError:  # the lists have different lengths
        return BYTES, objects(cells)
    flat = list(cells) if array.ndim == 1 else np.array(cells, object).ravel().tolist()
    kinds = set(map(type, flat))
    if array.dtype.kind in "biuf" and (len(kinds) == 1 or array.ravel().tolist() == flat):
        return _from_numbers(array)
    if all(issubclass(kind, _SCALARS) for kind in kinds):
        plain = [cell.item() if isinstance(cell, np.generic) else cell for cell in flat]
        plain = [None if is_missing(cell) else cell for cell in plain]
        if found := _with_gaps(plain):
            return found[0], found[1].reshape(array.shape)
    return BYTES, objects(cells)


def _from_numbers(array: Array) -> tuple[str, Array]:
    datatype = _DATATYPES.get(array.dtype) or _DATATYPES.get(array.dtype.newbyteorder("<"))
    # a float of more than 64 bits has no datatype
    return (datatype, array) if datatype else ("FP64", array.astype(np.float64))


def _with_gaps(cells: Sequence[Any]) -> tuple[str, Array] | None:
    """Return the datatype and array of Python numbers or booleans with None; else None."""
    kinds = set(map(type, cells)) - {type(None)}
    whole = [cell for cell in cells if type(cell) is int]
    if float in kinds and kinds <= {float, int} and _within(whole, _EXACT):
        return "FP64", np.array(cells, np.float64)
    if kinds == {bool}:
        return "BOOL", objects(cells)
    if kinds == {int} and _within(whole, RANGES["INT64"]):
        return "INT64", objects(cells)
    return None


def _within(cells: Sequence[int], bounds: tuple[int, int]) -> bool:
    return all(bounds[0] <= cell <= bounds[1] for cell in cells)


def _to_list(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray) and values.ndim:
        return list(values.tolist())
    return [values]


def _text(value: Any) -> str | bytes | None:
    if isinstance(value, (str, bytes)):
        return value
    if value is None or (not isinstance(value, (dict, list)) and is_missing(value)):
        return None
    text = encode(value)
    if text[0] != '"' and "NaN" not in text and "Infinity" not in text:
        return text
    found = json.loads(text, parse_constant=_STRICT.get)
    return found if isinstance(found, str) else json.dumps(found)
