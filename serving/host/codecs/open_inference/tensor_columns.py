"""Conversion of tensors to columns of scalar values.

A column is a tensor of shape [n] or [n, 1]. A datatype fits a column if every value of the datatype
is a value of the column's type, like FP32 for a double column; no wider datatype fits.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from mlflow.types import DataType

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.codecs.open_inference.request_templates import RequestTemplates
from cloche.serving.host.codecs.open_inference.tensors import BYTES, DTYPES, EXACT_IN_DOUBLE, Tensor
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table, table_key

_FEW = 16  # number of elements up to which Python values are faster than an array
NATIVE = {
    DataType.boolean: "BOOL",
    DataType.integer: "INT32",
    DataType.long: "INT64",
    DataType.float: "FP32",
    DataType.double: "FP64",
}
_KINDS = {DataType.boolean: "b", DataType.integer: "i", DataType.long: "i", DataType.string: "s"}


def castable_datatypes(native: str) -> frozenset[str]:
    """Return the datatypes whose values are all values of `native`, by numpy's casting rules."""
    return frozenset(
        name
        for name, dtype in DTYPES.items()
        if np.can_cast(dtype, DTYPES[native]) and (name == "BOOL") == (native == "BOOL")
    )


class TensorDecoder:
    """Reads tensors into the columns of a column decoder, without MLflow."""

    def __init__(self, decoder: ColumnDecoder) -> None:
        self._names = decoder.names
        self._readers = [column_reader(kind) for kind in decoder.types]
        self._natives = [NATIVE.get(kind, BYTES) for kind in decoder.types]
        self._kinds = "".join(_KINDS.get(kind, "n") for kind in decoder.types)
        self._strings = [at for at, kind in enumerate(decoder.types) if kind is DataType.string]

    def templates(self) -> RequestTemplates:
        """Create the memory of request templates for these columns."""
        return RequestTemplates(self._names, self._natives)

    def table(self, tensors: Mapping[str, Tensor], params: dict[str, Any] | None) -> Table | None:
        """Convert `tensors` to a table; None unless they are exactly the signature's inputs.

        Raises:
            RequestRefused: A tensor does not fit its column.
        """
        if len(tensors) != len(self._names):
            return None
        try:
            columns = [
                read(tensors[name]) for name, read in zip(self._names, self._readers, strict=True)
            ]
        except KeyError:
            return None
        count = same_length(tensors.values())
        kinds = self._kinds
        for at in self._strings:
            if set(columns[at]) == {None}:
                kinds = f"{kinds[:at]}o{kinds[at + 1 :]}"
        key = table_key(kinds, params)
        if count <= _FEW:
            return Table(key, list(zip(*columns, strict=True)), params)
        return Table(key, (), params, columns)


def column_reader(kind: DataType) -> Callable[[Tensor], Any]:
    """Return the function that reads a column of a type, and refuses tensors that do not fit."""
    if kind is DataType.string:
        return _column_of_strings
    native = NATIVE[kind]
    fits, target = castable_datatypes(native), kind.to_numpy()

    def read(tensor: Tensor) -> Any:
        datatype = tensor.datatype
        rows = column_length(tensor, native)
        if datatype not in fits:
            raise tensor.mismatch(describe_column(native))
        if rows <= _FEW and datatype == native:
            return (
                tensor.cells() if isinstance(tensor.data, memoryview) else tensor.cells_in_range()
            )
        array = tensor.array()
        if native == "FP64" and datatype in ("INT64", "UINT64"):
            check_exact(tensor, array)
        column = array.reshape(-1).astype(target, copy=False)
        return column.tolist() if rows <= _FEW else column

    return read


def _column_of_strings(tensor: Tensor) -> list[str | None]:
    check_bytes(tensor)
    return tensor.texts()


def check_bytes(tensor: Tensor) -> None:
    """Check that a tensor is a column of BYTES.

    Raises:
        RequestRefused: The tensor is no such column.
    """
    column_length(tensor, BYTES)
    if tensor.datatype != BYTES:
        raise tensor.mismatch(describe_column(BYTES))


def describe_column(datatype: str) -> str:
    """Describe a column of a datatype for an error message."""
    return f"{datatype} of shape [n] or [n, 1]"


def column_length(tensor: Tensor, native: str) -> int:
    """Return the number of rows of a tensor that is a column.

    Raises:
        RequestRefused: The tensor is no column, or is empty.
    """
    shape = tensor.shape
    if not shape or not shape[0] or (len(shape) > 1 and shape[1:] != (1,)):
        raise tensor.mismatch(describe_column(native) + (", n from 1 on" if 0 in shape else ""))
    return shape[0]


def check_exact(tensor: Tensor, array: Any) -> None:
    """Check that whole numbers do not change when they are converted to doubles.

    Raises:
        RequestRefused: A number is beyond 2^53.
    """
    if array.size and max(abs(int(array.min())), abs(int(array.max()))) > EXACT_IN_DOUBLE:
        raise RequestRefused(
            f"Input {tensor.name!r}: a value of {tensor.datatype} is beyond 2^53, where FP64 "
            "cannot hold every whole number."
        )


def same_length(tensors: Iterable[Tensor]) -> int:
    """Return the number of rows that all `tensors` have.

    Raises:
        RequestRefused: The numbers of rows differ.
    """
    lengths = {tensor.shape[0] if tensor.shape else 1: tensor.name for tensor in tensors}
    if len(lengths) > 1:
        (one, of), (other, whose) = list(lengths.items())[:2]
        raise RequestRefused(f"Input {of!r} has {one} rows, and input {whose!r} has {other}.")
    return next(iter(lengths))
