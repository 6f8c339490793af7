"""Conversion of the Open Inference Protocol's tensors to numpy arrays, and back.

The protocol: https://github.com/kserve/open-inference-protocol. The data of a tensor is either a
list of Python values, from JSON or a typed field of gRPC, or little-endian bytes.
"""

import base64
import json
import math
import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.answers.mistake import describe_kind
from cloche.serving.host.predictors.prediction_writer import encode
from cloche.values.cells import is_missing

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
LENGTH = struct.Struct("<I")
EXACT_IN_DOUBLE = 2**53
_EXACT = (-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)
# Strict JSON has no NaN and no infinities: null stands for NaN, and strings for infinities.
_NAMED = {math.inf: "Infinity", -math.inf: "-Infinity"}
_STRICT = {"NaN": None, **{name: name for name in _NAMED.values()}}
_TEXTUAL = frozenset({str, bytes, dict})
_SCALARS = (bool, int, float, np.generic, type(None), type(pd.NA), type(pd.NaT))

Array = npt.NDArray[Any]


class Tensor(NamedTuple):
    """One named tensor of a request.

    Attributes:
        datatype: One of `DTYPES`, or BYTES.
        shape: The lengths of the axes.
        data: The elements in row-major order: a flat list of Python values, or bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] | memoryview

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def mismatch(self, expected: str) -> RequestRefused:
        """Create the error for a tensor that is not as `expected`."""
        return RequestRefused(
            f"Input {self.name!r}: expected {expected}, "
            f"found {self.datatype} of shape {list(self.shape)}."
        )

    def cells(self) -> Sequence[Any]:
        """Return the elements as Python values: str or bytes for BYTES."""
        if not isinstance(self.data, memoryview):
            return self.data
        if self.datatype == BYTES:
            return self._strings(self.data)
        self._check_length(self.data)
        return struct.unpack(f"<{self.size}{FORMATS[self.datatype]}", self.data)

    def cells_in_range(self) -> Sequence[Any]:
        """Return elements that were sent as Python values, all within the datatype's range.

        Raises:
            RequestRefused: A value is out of range.
        """
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
        """Return the elements of BYTES as text.

        Raises:
            RequestRefused: An element is not UTF-8.
        """
        try:
            return [cell.decode() if isinstance(cell, bytes) else cell for cell in self.cells()]
        except UnicodeDecodeError:
            raise RequestRefused(f"Input {self.name!r}: an element is not UTF-8.") from None

    def array(self) -> Array:
        """Convert the tensor to an array of its shape; an array of objects for BYTES."""
        if self.datatype == BYTES:
            return _objects(self.cells()).reshape(self.shape)
        dtype = np.dtype(DTYPES[self.datatype])
        if isinstance(self.data, memoryview):
            self._check_length(self.data)
            return np.frombuffer(self.data, dtype).reshape(self.shape)
        values = [math.nan if value is None else value for value in self.data]
        try:
            with np.errstate(over="raise"):
                return np.array(values, dtype).reshape(self.shape)
        except (OverflowError, FloatingPointError):
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
        """Unpack the elements of BYTES, each of which follows its length in 4 bytes."""
        found, offset, end = [], 0, len(data)
        while offset + 4 <= end:
            start = offset + 4
            offset = start + LENGTH.unpack_from(data, offset)[0]
            found.append(bytes(data[start:offset]))
        if offset != end or len(found) != self.size:
            raise RequestRefused(
                f"Input {self.name!r}: its bytes do not hold {self.size} elements, each after its "
                "length in 4 bytes."
            )
        return found


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Tensor:
    """Read a tensor whose elements were sent as JSON, in a flat or a nested list.

    Raises:
        RequestRefused: An element is not of the datatype, or their number does not fit the shape.
    """
    tensor = Tensor(name, datatype, shape, data)
    if not isinstance(data, list):
        raise RequestRefused(f"Input {name!r}: data must be a list; it is {describe_kind(data)}.")
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
        at = next(at for at, cell in enumerate(flat) if type(cell) not in allowed)
        raise RequestRefused(
            f"Input {name!r}, element {at} of data: expected {datatype}, found "
            f"{describe_kind(flat[at])}."
        )
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
    """Validate the shape in a request.

    Raises:
        RequestRefused: The value is no shape.
    """
    if isinstance(shape, (list, tuple)) and len(shape) <= _MAX_DEPTH:
        for axis in shape:
            if type(axis) is not int or axis < 0:
                break
        else:
            return tuple(shape)
    raise RequestRefused(f"Input {name!r}: shape must be a list of whole numbers from 0 on.")


def read_datatype(name: str, datatype: Any) -> str:
    """Validate the datatype in a request.

    Raises:
        RequestRefused: The datatype is unknown.
    """
    if isinstance(datatype, str) and (datatype == BYTES or datatype in DTYPES):
        return datatype
    raise RequestRefused(f"Input {name!r}: datatype must be one of {', '.join((*DTYPES, BYTES))}.")


def refuse_classes(name: str, parameters: Collection[str]) -> None:
    """Refuse Triton's classification extension, which its clients call `class_count`.

    Raises:
        RequestRefused: The parameters of a requested output contain the extension.
    """
    if "classification" in parameters:
        raise RequestRefused(
            f"Output {name!r}: the classification extension (class_count) is not offered. Ask for "
            "the output without it, and take its largest values."
        )


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
        return BYTES, _objects(cells)
    try:
        array = np.array(cells)
    except ValueError:  # the lists have different lengths
        return BYTES, _objects(cells)
    flat = list(cells) if array.ndim == 1 else np.array(cells, object).ravel().tolist()
    kinds = set(map(type, flat))
    if array.dtype.kind in "biuf" and (len(kinds) == 1 or array.ravel().tolist() == flat):
        return _from_numbers(array)
    if all(issubclass(kind, _SCALARS) for kind in kinds):
        plain = [cell.item() if isinstance(cell, np.generic) else cell for cell in flat]
        plain = [None if is_missing(cell) else cell for cell in plain]
        if found := _with_gaps(plain):
            return found[0], found[1].reshape(array.shape)
    return BYTES, _objects(cells)


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
        return "BOOL", _objects(cells)
    if kinds == {int} and _within(whole, _RANGES["INT64"]):
        return "INT64", _objects(cells)
    return None


def _within(cells: Sequence[int], bounds: tuple[int, int]) -> bool:
    return all(bounds[0] <= cell <= bounds[1] for cell in cells)


def _to_list(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray) and values.ndim:
        return list(values.tolist())
    return [values]


def _objects(cells: Sequence[Any]) -> Array:
    array = np.empty(len(cells), object)
    for position, cell in enumerate(cells):
        array[position] = cell
    return array


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
