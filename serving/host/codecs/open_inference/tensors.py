"""The tensors of requests by the Open Inference Protocol, and their conversion to numpy arrays.

The protocol: https://github.com/kserve/open-inference-protocol. The data of a tensor is either a
list of Python values, from JSON or a typed field of gRPC, or little-endian bytes.
"""

import math
import struct
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.answers.mistake import describe_kind

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
_JSON_TYPES: dict[str, set[type]] = {"B": {bool}, "U": {int}, "I": {int}, "F": {int, float}}
RANGES = {
    name: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in DTYPES.items()
    if "INT" in name
}
_FP32_MAX = float(np.finfo(np.float32).max)
_MAX_DEPTH = 32
LENGTH = struct.Struct("<I")
EXACT_IN_DOUBLE = 2**53

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
        if self.datatype in RANGES:
            lowest, highest = RANGES[self.datatype]
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
            return objects(self.cells()).reshape(self.shape)
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


def objects(cells: Sequence[Any]) -> Array:
    """Return an array of objects with these cells, which may be sequences themselves."""
    array = np.empty(len(cells), object)
    for position, cell in enumerate(cells):
        array[position] = cell
    return array
