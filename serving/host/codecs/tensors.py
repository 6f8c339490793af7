"""Tensors of the Open Inference Protocol as numpy arrays, and back.

The protocol: https://github.com/kserve/open-inference-protocol. Data is either a list of Python
values, as JSON and the typed fields of gRPC have it, or little-endian bytes.
"""

import base64
import json
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.serving.host.failures import RequestRefused
from cloche.serving.host.predicted import encode

BYTES = "BYTES"
DTYPES: dict[str, npt.DTypeLike] = {
    "BOOL": np.bool_,
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}  # fmt: skip
FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
_DATATYPES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
_JSON_TYPES: dict[str, set[type]] = {"B": {bool}, "U": {int}, "I": {int}, "F": {int, float}}
_RANGES = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in DTYPES.items()
    if "INT" in name
}
_FP32_MAX = float(np.finfo(np.float32).max)
_MAX_DEPTH = 32
_LENGTH = struct.Struct("<I")

Array = npt.NDArray[Any]


class Tensor(NamedTuple):
    """One named tensor of a request.

    Attributes:
        name: Of the input.
        datatype: One of `DTYPES`, or BYTES.
        shape: Its axes.
        data: Its elements in rows: Python values, or bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] | memoryview

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def refusal(self, expected: str) -> RequestRefused:
        """What is told about a tensor that is not as `expected`."""
        return RequestRefused(
            f"Input {self.name!r}: expected {expected}, "
            f"found {self.datatype} of shape {list(self.shape)}."
        )

    def cells(self) -> Sequence[Any]:
        """Its elements as Python values: str or bytes for BYTES."""
        if not isinstance(self.data, memoryview):
            return self.data
        if self.datatype == BYTES:
            return self._strings(self.data)
        self._check_length(self.data)
        return struct.unpack(f"<{self.size}{FORMATS[self.datatype]}", self.data)

    def checked(self) -> Sequence[Any]:
        """Elements that came as Python values, all within the datatype."""
        cells = self.cells()
        if self.datatype[0] == "F":
            return self._floats(cells)
        if self.datatype in _RANGES:
            lowest, highest = _RANGES[self.datatype]
            if min(cells) < lowest or max(cells) > highest:
                raise self._out_of_range()
        return cells

    def _floats(self, cells: Sequence[Any]) -> Sequence[float]:
        if set(map(type, cells)) != {float}:
            try:
                cells = [math.nan if cell is None else float(cell) for cell in cells]
            except OverflowError:
                raise self._out_of_range() from None
        if self.datatype == "FP32" and any(_FP32_MAX < abs(cell) < math.inf for cell in cells):
            raise self._out_of_range()
        return cells

    def texts(self) -> list[str | None]:
        """The elements of BYTES as text.

        Raises:
            RequestRefused: One of them is no UTF-8.
        """
        try:
            return [cell.decode() if isinstance(cell, bytes) else cell for cell in self.cells()]
        except UnicodeDecodeError:
            raise RequestRefused(f"Input {self.name!r}: an element is not UTF-8.") from None

    def array(self) -> Array:
        """It as an array of its shape; of objects for BYTES."""
        if self.datatype == BYTES:
            return _objects(self.cells()).reshape(self.shape)
        dtype = np.dtype(DTYPES[self.datatype])
        if isinstance(self.data, memoryview):
            self._check_length(self.data)
            return np.frombuffer(self.data, dtype).reshape(self.shape)
        values = [math.nan if value is None else value for value in self.data]
        try:
            with np.errstate(over="ignore"):
                return np.array(values, dtype).reshape(self.shape)
        except OverflowError:
            raise self._out_of_range() from None

    def _out_of_range(self) -> RequestRefused:
        return RequestRefused(f"Input {self.name!r}: a value is not within {self.datatype}.")

    def _check_length(self, data: memoryview) -> None:
        expected = self.size * np.dtype(DTYPES[self.datatype]).itemsize
        if len(data) != expected:
            raise RequestRefused(
                f"Input {self.name!r}: {self.datatype} of shape {list(self.shape)} has {expected} "
                f"bytes, not {len(data)}."
            )

    def _strings(self, data: memoryview) -> list[bytes]:
        """Elements with their length before them."""
        found, offset, end = [], 0, len(data)
        while offset + 4 <= end:
            start = offset + 4
            offset = start + _LENGTH.unpack_from(data, offset)[0]
            found.append(bytes(data[start:offset]))
        if offset != end or len(found) != self.size:
            raise RequestRefused(
                f"Input {self.name!r}: its bytes do not hold {self.size} elements, each after its "
                "length in 4 bytes."
            )
        return found


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Tensor:
    """A tensor whose elements came as JSON, flat or nested.

    Raises:
        RequestRefused: They are not of the datatype, or not as many as the shape says.
    """
    tensor = Tensor(name, datatype, shape, data)
    if not isinstance(data, list):
        raise RequestRefused(f"Input {name!r}: data must be a list.")
    flat = _flat(tensor, data)
    if len(flat) != tensor.size:
        raise RequestRefused(
            f"Input {name!r}: shape {list(shape)} has {tensor.size} elements, not {len(flat)}."
        )
    types = set(map(type, flat))
    allowed = {str} if datatype == BYTES else _JSON_TYPES[datatype[0]]
    if datatype == BYTES or datatype[0] == "F":
        allowed = allowed | {type(None)}
    if not types <= allowed:
        raise RequestRefused(f"Input {name!r}: an element of data is not {datatype}.")
    return tensor._replace(data=flat)


def _flat(tensor: Tensor, data: list[Any]) -> list[Any]:
    for _ in range(_MAX_DEPTH):
        if list not in (kinds := set(map(type, data))):
            return data
        if kinds != {list}:
            break
        data = [element for row in data for element in row]
    raise RequestRefused(f"Input {tensor.name!r}: data is nested unevenly.")


def read_shape(name: str, shape: Any) -> tuple[int, ...]:
    """A shape, as it was sent.

    Raises:
        RequestRefused: It is none.
    """
    if isinstance(shape, (list, tuple)) and len(shape) <= _MAX_DEPTH:
        for axis in shape:
            if type(axis) is not int or axis < 0:
                break
        else:
            return tuple(shape)
    raise RequestRefused(f"Input {name!r}: shape must be a list of whole numbers from 0 on.")


def read_datatype(name: str, datatype: Any) -> str:
    """A datatype, as it was sent.

    Raises:
        RequestRefused: There is no such datatype.
    """
    if isinstance(datatype, str) and (datatype == BYTES or datatype in DTYPES):
        return datatype
    raise RequestRefused(f"Input {name!r}: datatype must be one of {', '.join((*DTYPES, BYTES))}.")


class Output(NamedTuple):
    """One tensor of an answer.

    Attributes:
        name: Of the output.
        datatype: One of `DTYPES`, or BYTES.
        shape: Its axes.
        values: An array; for BYTES a flat list of str, bytes and None.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any

    def elements(self) -> list[Any]:
        """Its elements for JSON, flat: bytes as base64."""
        if self.datatype != BYTES:
            flat: list[Any] = self.values.ravel().tolist()
            return flat
        return [
            base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for value in self.values
        ]

    def packed(self) -> bytes:
        """Its elements as little-endian bytes; a missing string is empty."""
        if self.datatype != BYTES:
            packed: bytes = self.values.astype(DTYPES[self.datatype], copy=False).tobytes()
            return packed
        parts: list[bytes] = []
        for value in self.values:
            text = value if isinstance(value, bytes) else (value or "").encode()
            parts += (_LENGTH.pack(len(text)), text)
        return b"".join(parts)


def output(name: str, values: Any) -> Output:
    """What a model gave for one output, as a tensor.

    Numbers and truth values keep their types; everything else becomes text: dates as MLflow writes
    them, and what is no text as JSON.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return Output(name, BYTES, values.shape or (1,), values.ravel().tolist())
    array = _as_array(values)
    datatype = _DATATYPES.get(array.dtype) or _DATATYPES.get(array.dtype.newbyteorder("<"))
    if datatype is None and array.dtype.kind == "f":  # wider than 64 bits
        datatype, array = "FP64", array.astype(np.float64)
    if datatype is not None:
        return Output(name, datatype, array.shape or (1,), array)
    return Output(name, BYTES, array.shape or (1,), [_text(value) for value in array.ravel()])


def _as_array(values: Any) -> Array:
    if isinstance(values, pd.Series):
        values = values.to_numpy() if values.dtype.kind in "biuf" else values.to_list()
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values
    cells = values if isinstance(values, (list, tuple)) else _listed(values)
    try:
        array = np.array(cells)
    except ValueError:  # ragged
        return _objects(cells)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype == object and _are_numbers(cells):
        return np.array([math.nan if cell is None else cell for cell in cells], np.float64)
    return _objects(cells)


def _listed(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray) and values.ndim:
        return list(values.tolist())
    return [values]


def _are_numbers(cells: Sequence[Any]) -> bool:
    return float in (kinds := set(map(type, cells))) and kinds <= {float, type(None)}


def _objects(cells: Sequence[Any]) -> Array:
    array = np.empty(len(cells), object)
    for position, cell in enumerate(cells):
        array[position] = cell
    return array


def _text(value: Any) -> str | bytes | None:
    if value is None or isinstance(value, (str, bytes)):
        return value
    if value is pd.NaT or value is pd.NA:
        return None
    text = encode(value)
    return str(json.loads(text)) if text.startswith('"') else text
