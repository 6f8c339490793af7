"""How the tensors of a request become what a model takes, by its signature.

Named columns take one tensor each, of shape [n] or [n, 1]; named tensors one each; whatever takes a
single unnamed thing takes a single tensor of any name. A datatype fits if every value of it is
one of the signature's type: FP32 for a double, and nothing wider than the type itself.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema
from mlflow.types.schema import Array
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from serving.host.codecs.tensors import BYTES, DTYPES, Tensor
from serving.host.failures import RequestRefused
from serving.host.plan import Plan, Table, table_key

_EXACT_IN_DOUBLE = 2**53
_FEW = 16  # elements up to which Python values are cheaper than an array
_NATIVE = {
    DataType.boolean: "BOOL",
    DataType.integer: "INT32",
    DataType.long: "INT64",
    DataType.float: "FP32",
    DataType.double: "FP64",
}
_KINDS = {DataType.boolean: "b", DataType.integer: "i", DataType.long: "i", DataType.string: "s"}


def fitting(native: str) -> frozenset[str]:
    """The datatypes all of whose values are values of `native`, as far as numpy knows."""
    return frozenset(
        name
        for name, dtype in DTYPES.items()
        if np.can_cast(dtype, DTYPES[native]) and (name == "BOOL") == (native == "BOOL")
    )


class PlannedColumns:
    """Tensors for the columns of a plan, read without MLflow."""

    def __init__(self, plan: Plan) -> None:
        self._names = plan.names
        self._readers = [_reader(kind) for kind in plan.types]
        self._kinds = "".join(_KINDS.get(kind, "n") for kind in plan.types)
        self._strings = [at for at, kind in enumerate(plan.types) if kind is DataType.string]

    def table(self, tensors: Mapping[str, Tensor], params: dict[str, Any] | None) -> Table | None:
        """The table in `tensors`, which must be all of the signature's; None where some lack.

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


def _reader(kind: DataType) -> Callable[[Tensor], Any]:
    if kind is DataType.string:
        return _column_of_strings
    native = _NATIVE[kind]
    fits, target = fitting(native), kind.to_numpy()

    def read(tensor: Tensor) -> Any:
        datatype = tensor.datatype
        rows = column_length(tensor, native)
        if datatype not in fits:
            raise tensor.refusal(column_of(native))
        plain = datatype == native and isinstance(tensor.data, memoryview)
        if plain and rows <= _FEW:
            return tensor.cells()
        array = tensor.array()
        if native == "FP64" and datatype in ("INT64", "UINT64"):
            _check_exact(tensor, array)
        column = array.reshape(-1).astype(target, copy=False)
        return column.tolist() if rows <= _FEW else column

    return read


def _column_of_strings(tensor: Tensor) -> list[str | None]:
    column_length(tensor, BYTES)
    if tensor.datatype != BYTES:
        raise tensor.refusal(column_of(BYTES))
    return texts(tensor)


def texts(tensor: Tensor) -> list[str | None]:
    """The elements of a BYTES tensor as text.

    Raises:
        RequestRefused: One of them is no UTF-8.
    """
    try:
        return [cell.decode() if isinstance(cell, bytes) else cell for cell in tensor.cells()]
    except UnicodeDecodeError:
        raise RequestRefused(f"Input {tensor.name!r}: an element is not UTF-8.") from None


def column_of(datatype: str) -> str:
    """How a column is described."""
    return f"{datatype} of shape [n] or [n, 1]"


def column_length(tensor: Tensor, native: str) -> int:
    """How many rows `tensor` has, as a column.

    Raises:
        RequestRefused: It is no column, or empty.
    """
    shape = tensor.shape
    if not shape or not shape[0] or (len(shape) > 1 and shape[1:] != (1,)):
        raise tensor.refusal(column_of(native) + (", n from 1 on" if 0 in shape else ""))
    return shape[0]


def _check_exact(tensor: Tensor, array: Any) -> None:
    if array.size and max(abs(int(array.min())), abs(int(array.max()))) > _EXACT_IN_DOUBLE:
        raise RequestRefused(
            f"Input {tensor.name!r}: a value of {tensor.datatype} is beyond 2^53, where FP64 "
            "cannot hold every whole number."
        )


def same_length(tensors: Iterable[Tensor]) -> int:
    """The rows that all `tensors` have.

    Raises:
        RequestRefused: They differ.
    """
    lengths = {tensor.shape[0] if tensor.shape else 1: tensor.name for tensor in tensors}
    if len(lengths) > 1:
        (one, of), (other, whose) = list(lengths.items())[:2]
        raise RequestRefused(f"Input {of!r} has {one} rows, and input {whose!r} has {other}.")
    return next(iter(lengths))


def model_input(tensors: Mapping[str, Tensor], schema: Schema | None) -> Any:
    """What a model with this signature is given: a table, an array, or arrays by name.

    Raises:
        RequestRefused: The tensors do not fit.
    """
    if schema is None:
        arrays = {name: tensor.array() for name, tensor in tensors.items()}
        return arrays if len(arrays) > 1 else next(iter(arrays.values()))
    if schema.has_input_names():
        _check_names(tensors, schema)
    if schema.is_tensor_spec():
        return _tensor_input(tensors, schema)
    if schema.has_input_names():
        return _frame(tensors, schema)
    return _unnamed_columns(_only(tensors), schema)


def _check_names(tensors: Mapping[str, Tensor], schema: Schema) -> None:
    names = [str(name) for name in schema.input_names()]
    lacking = [str(name) for name in schema.required_input_names() if name not in tensors]
    if lacking:
        raise RequestRefused(f"The request lacks {_named(lacking)}.")
    if strange := [name for name in tensors if name not in names]:
        raise RequestRefused(
            f"The model does not take {_named(strange)}; it takes {_named(names)}."
        )


def _named(names: Sequence[str]) -> str:
    return f"input{'' if len(names) == 1 else 's'} {', '.join(map(repr, names))}"


def _only(tensors: Mapping[str, Tensor]) -> Tensor:
    if len(tensors) > 1:
        raise RequestRefused("The model takes one input.")
    return next(iter(tensors.values()))


def _tensor_input(tensors: Mapping[str, Tensor], schema: Schema) -> Any:
    if not schema.has_input_names():
        return _fitted(_only(tensors), schema.inputs[0])
    specs = schema.input_dict()
    return {name: _fitted(tensor, specs[name]) for name, tensor in tensors.items()}


def _fitted(tensor: Tensor, spec: Any) -> Any:
    """The array of `tensor`, of the specification's type."""
    dtype, shape = spec.type, spec.shape
    native = _datatype(dtype)
    shaped = len(shape) == len(tensor.shape) and all(
        want in (-1, have) for want, have in zip(shape, tensor.shape, strict=True)
    )
    fits = {BYTES} if native == BYTES else fitting(native)
    if not shaped or tensor.datatype not in fits:
        raise tensor.refusal(f"{native} of shape {list(shape)}")
    if native != BYTES:
        return tensor.array().astype(dtype)
    if dtype.kind == "S":
        return tensor.array().astype(dtype)
    found = np.array(texts(tensor), dtype=object).reshape(tensor.shape)
    return found if dtype.kind == "O" else found.astype(dtype)


def _datatype(dtype: Any) -> str:
    for name, native in DTYPES.items():
        if np.dtype(native) == dtype:
            return name
    return BYTES


def _unnamed_columns(tensor: Tensor, schema: Schema) -> Any:
    kinds = set(schema.input_types())
    width = len(schema.inputs)
    flat = len(tensor.shape) == 1 and width == 1
    if not flat and (len(tensor.shape) != 2 or tensor.shape[1] != width):
        raise tensor.refusal(f"shape [n, {width}]")
    native = _native(kinds.pop()) if len(kinds) == 1 else BYTES
    if native == BYTES:
        return tensor.array() if tensor.datatype != BYTES else _objects(tensor)
    if tensor.datatype not in fitting(native):
        raise tensor.refusal(f"{native} of shape [n, {width}]")
    array = tensor.array()
    if native == "FP64" and tensor.datatype in ("INT64", "UINT64"):
        _check_exact(tensor, array)
    return array.astype(DTYPES[native])


def _native(kind: Any) -> str:
    return _NATIVE.get(kind, BYTES)


def _objects(tensor: Tensor) -> Any:
    return np.array(texts(tensor), dtype=object).reshape(tensor.shape)


def _frame(tensors: Mapping[str, Tensor], schema: Schema) -> pd.DataFrame:
    """A table of columns of every kind, as MLflow reads them from JSON."""
    kinds = schema.input_dict()
    count = same_length(tensors.values())
    if not count:
        raise RequestRefused("The request holds no rows.")
    order = [str(name) for name in schema.input_names() if name in tensors]
    cells = [_json_cells(tensors[name], kinds[name].type) for name in order]
    rows = [list(row) for row in zip(*cells, strict=True)]
    split = {"columns": order, "data": rows}
    frame: pd.DataFrame = dataframe_from_parsed_json(split, "split", schema)
    return frame


def _json_cells(tensor: Tensor, kind: Any) -> Sequence[Any]:
    """The cells of a column as JSON has them."""
    if kind in _NATIVE or kind is DataType.string:
        column = _reader(kind)(tensor)
        return column.tolist() if isinstance(column, np.ndarray) else list(column)
    if kind is DataType.binary:
        return _base64(tensor)
    if isinstance(kind, Array) and (native := _innermost(kind)):
        if tensor.datatype != native and tensor.datatype not in fitting_any(native):
            raise tensor.refusal(f"{native} of shape [n, …]")
        if native == BYTES:
            nested = np.array(texts(tensor), dtype=object).reshape(tensor.shape)
            return list(nested.tolist())
        return list(tensor.array().tolist())
    column_length(tensor, BYTES)
    if tensor.datatype != BYTES:
        raise tensor.refusal(column_of(BYTES))
    found = texts(tensor)
    return found if kind is DataType.datetime else [_parsed(tensor, text) for text in found]


def fitting_any(native: str) -> frozenset[str]:
    """As `fitting`, also of BYTES."""
    return frozenset({BYTES}) if native == BYTES else fitting(native)


def _innermost(kind: Any) -> str:
    """The datatype of the values in lists of lists; empty where they are no plain values."""
    while isinstance(kind, Array):
        kind = kind.dtype
    return BYTES if kind is DataType.string else _NATIVE.get(kind, "")


def _base64(tensor: Tensor) -> list[str | None]:
    """Binary cells: bytes that came as such, or base64 that came in JSON."""
    column_length(tensor, BYTES)
    if tensor.datatype != BYTES:
        raise tensor.refusal(column_of(BYTES))
    cells = tensor.cells()
    try:
        for cell in cells:
            if isinstance(cell, str):
                base64.b64decode(cell, validate=True)
    except binascii.Error:
        raise RequestRefused(f"Input {tensor.name!r}: an element is not base64.") from None
    return [base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell for cell in cells]


def _parsed(tensor: Tensor, text: str | None) -> Any:
    """A cell that is an object, a map or a list of them: JSON in text."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise RequestRefused(f"Input {tensor.name!r}: an element is not JSON.") from None
