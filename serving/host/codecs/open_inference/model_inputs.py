"""Conversion of tensors to the input of a model, for signatures without a column decoder.

Each named column and each named tensor of a signature takes one tensor. A single input without a
name takes a single tensor of any name. Columns without names take one tensor together if they are
of one plain type, else one each (`parsing/unnamed_columns.py`). Columns of dates, bytes, lists,
objects and maps are read as MLflow reads them from JSON.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from cloche.serving.host.answers.error_answers import RequestRefused
from cloche.serving.host.answers.mistake import plain_name
from cloche.serving.host.codecs.open_inference.tensor_columns import (
    NATIVE,
    castable_datatypes,
    check_bytes,
    check_exact,
    column_reader,
    same_length,
)
from cloche.serving.host.codecs.open_inference.tensors import BYTES, DTYPES, Tensor
from cloche.serving.host.parsing import unnamed_columns
from cloche.serving.host.parsing.missing_values import MissingValueGuard
from cloche.serving.host.parsing.older_mlflow import AnyType, Array


def model_input(
    tensors: Mapping[str, Tensor], schema: Schema | None, *, hinted: bool = False
) -> Any:
    """Convert tensors to a model's input: a table, an array, arrays by name, or a list.

    Raises:
        RequestRefused: The tensors do not fit the signature.
    """
    if schema is None:
        arrays = {name: tensor.array().copy() for name, tensor in tensors.items()}
        return arrays if len(arrays) > 1 else next(iter(arrays.values()))
    if hinted:
        return list(_json_cells(_only(tensors), schema.inputs[0].type))
    if schema.has_input_names():
        _check_names(tensors, schema)
    if schema.is_tensor_spec():
        return _tensor_input(tensors, schema)
    if schema.has_input_names():
        return _named_columns(tensors, schema)
    return _unnamed_columns(tensors, schema)


def as_payload(
    tensors: Mapping[str, Tensor], schema: Schema | None, *, hinted: bool = False
) -> dict[str, Any] | None:
    """Convert tensors to a JSON payload in one of MLflow's layouts; None for models of arrays.

    Raises:
        RequestRefused: The tensors do not fit the signature.
    """
    if schema is None or schema.is_tensor_spec():
        return None
    if hinted:
        return {"inputs": list(_json_cells(_only(tensors), schema.inputs[0].type))}
    if not schema.has_input_names():
        return None
    known = schema.input_dict()
    names = [str(name) for name in schema.input_names() if name in tensors]
    split = _split([tensors[name] for name in names], [known[name].type for name in names])
    return {"dataframe_split": split | {"columns": names}}


def _check_names(tensors: Mapping[str, Tensor], schema: Schema) -> None:
    names = [str(name) for name in schema.input_names()]
    lacking = [str(name) for name in schema.required_input_names() if name not in tensors]
    if lacking:
        raise RequestRefused(f"The request lacks {_quote_inputs(lacking)}.")
    if strange := [name for name in tensors if name not in names]:
        raise RequestRefused(
            f"The model does not take {_quote_inputs(strange)}; it takes {_quote_inputs(names)}."
        )


def _quote_inputs(names: Sequence[str]) -> str:
    return f"input{'' if len(names) == 1 else 's'} {', '.join(map(repr, names))}"


def _only(tensors: Mapping[str, Tensor]) -> Tensor:
    if len(tensors) > 1:
        raise RequestRefused("The model takes one input.")
    return next(iter(tensors.values()))


def _tensor_input(tensors: Mapping[str, Tensor], schema: Schema) -> Any:
    if not schema.has_input_names():
        return _cast(_only(tensors), schema.inputs[0])
    specs = schema.input_dict()
    return {name: _cast(tensor, specs[name]) for name, tensor in tensors.items()}


def _cast(tensor: Tensor, spec: Any) -> Any:
    """Convert a tensor to an array of the specification's type."""
    dtype, shape = spec.type, spec.shape
    native = _datatype(dtype)
    shaped = len(shape) == len(tensor.shape) and all(
        want in (-1, have) for want, have in zip(shape, tensor.shape, strict=True)
    )
    fits = {BYTES} if native == BYTES else castable_datatypes(native)
    if not shaped or tensor.datatype not in fits:
        raise tensor.mismatch(f"{native} of shape {list(shape)}")
    if native == BYTES and dtype.kind != "O" and None in tensor.cells():
        raise RequestRefused(f"Input {tensor.name!r}: an element is missing.")
    if native != BYTES or dtype.kind == "S":
        return tensor.array().astype(dtype)
    found = _objects(tensor)
    return found if dtype.kind == "O" else found.astype(dtype)


def _datatype(dtype: Any) -> str:
    for name, native in DTYPES.items():
        if np.dtype(native) == dtype:
            return name
    return BYTES


def _unnamed_columns(tensors: Mapping[str, Tensor], schema: Schema) -> Any:
    """Convert tensors for columns without names: to one array, or to a table of one tensor each."""
    kinds = schema.input_types()
    names = unnamed_columns.names(len(kinds))
    alike = unnamed_columns.side_by_side([plain_name(kind) for kind in kinds])
    if alike or (len(tensors) == 1 and len(kinds) > 1):
        return _side_by_side(_only(tensors), kinds)
    if len(tensors) != len(kinds) or (len(kinds) > 1 and tensors.keys() != set(names)):
        raise RequestRefused(f"The model takes {_quote_inputs(names)}, one for each column.")
    chosen = [tensors[name] for name in names] if len(kinds) > 1 else [_only(tensors)]
    return _frame(chosen, kinds, schema, None)


def _side_by_side(tensor: Tensor, kinds: Sequence[Any]) -> Any:
    width = len(kinds)
    flat = len(tensor.shape) == 1 and width == 1
    if not flat and (len(tensor.shape) != 2 or tensor.shape[1] != width):
        raise tensor.mismatch(f"shape [n, {width}]")
    natives = {_native(kind) for kind in kinds}
    native = natives.pop() if len(natives) == 1 else ""
    if not native or native == BYTES:
        return _objects(tensor) if tensor.datatype == BYTES else tensor.array().copy()
    if tensor.datatype not in castable_datatypes(native):
        raise tensor.mismatch(f"{native} of shape [n, {width}]")
    array = tensor.array()
    if native == "FP64" and tensor.datatype in ("INT64", "UINT64"):
        check_exact(tensor, array)
    return array.astype(DTYPES[native])


def _objects(tensor: Tensor) -> Any:
    """Convert a tensor of text to an array of objects of the same shape."""
    return np.array(tensor.texts(), dtype=object).reshape(tensor.shape)


def _named_columns(tensors: Mapping[str, Tensor], schema: Schema) -> pd.DataFrame:
    """Convert tensors to a table; columns that are optional may be missing."""
    known = schema.input_dict()
    names = [str(name) for name in schema.input_names() if name in tensors]
    kinds = [known[name].type for name in names]
    return _frame([tensors[name] for name in names], kinds, schema, names)


def _frame(
    tensors: Sequence[Tensor], kinds: Sequence[Any], schema: Schema, names: list[str] | None
) -> pd.DataFrame:
    """Convert tensors to a table of columns of any type, as MLflow reads them from JSON."""
    if not same_length(tensors):
        raise RequestRefused("The request holds no rows.")
    split = _split(tensors, kinds)
    if names is not None:
        split["columns"] = names
    known = MissingValueGuard(schema).prepare({"dataframe_split": split})
    frame: pd.DataFrame = dataframe_from_parsed_json(split, "split", known)
    return frame


def _split(tensors: Sequence[Tensor], kinds: Sequence[Any]) -> dict[str, Any]:
    """Convert tensors to the content of `dataframe_split`, without the names of the columns."""
    cells = [_json_cells(tensor, kind) for tensor, kind in zip(tensors, kinds, strict=True)]
    return {"data": [list(row) for row in zip(*cells, strict=True)]}


def _json_cells(tensor: Tensor, kind: Any) -> Sequence[Any]:
    """Convert a tensor to the cells of a column as they are in JSON."""
    if isinstance(kind, Array) and (native := _native(kind)):
        return _lists(tensor, native)
    if kind is DataType.binary:
        return _base64(tensor)
    if kind is DataType.datetime or not isinstance(kind, DataType):
        check_bytes(tensor)
        found = tensor.texts()
        if kind is DataType.datetime:
            return found
        return [_parse_cell(tensor, text, or_text=isinstance(kind, AnyType)) for text in found]
    column = column_reader(kind)(tensor)
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _lists(tensor: Tensor, native: str) -> Sequence[Any]:
    """Convert a tensor to cells that are lists of plain values, or lists of lists."""
    if tensor.datatype not in ({BYTES} if native == BYTES else castable_datatypes(native)):
        raise tensor.mismatch(f"{native} of shape [n, …]")
    cells = _objects(tensor) if native == BYTES else tensor.array()
    found: list[Any] = cells.tolist()
    return found


def _native(kind: Any) -> str:
    """Return the datatype of a column's values, or of its lists' elements; empty if not plain."""
    while isinstance(kind, Array):
        kind = kind.dtype
    if not isinstance(kind, DataType):
        return ""
    return BYTES if kind is DataType.string else NATIVE.get(kind, "")


def _base64(tensor: Tensor) -> list[str | None]:
    """Convert a tensor to binary cells in base64, from raw bytes or from base64 in JSON."""
    check_bytes(tensor)
    cells = tensor.cells()
    try:
        for cell in cells:
            if isinstance(cell, str):
                base64.b64decode(cell, validate=True)
    except binascii.Error:
        raise RequestRefused(f"Input {tensor.name!r}: an element is not base64.") from None
    return [base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell for cell in cells]


def _parse_cell(tensor: Tensor, text: str | None, *, or_text: bool) -> Any:
    """Parse a cell that is an object, a map or a list, sent as JSON in text.

    If the column has any type (`or_text`), text that is no JSON stays text.
    """
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        if or_text:
            return text
        raise RequestRefused(f"Input {tensor.name!r}: an element is not JSON.") from None
