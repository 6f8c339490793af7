"""Converts rows of a table to the inputs of a model whose signature has tensors.

MLflow casts JSON to the type of the tensor, but accepts a table only if its columns have that type
already; in files, types are often wider or simpler. For a named tensor, like the input `X` of an
ONNX model, MLflow expects a column of that name, while a table has one column for each value of
the tensor. The gate and batch jobs use this module.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import Schema, TensorSpec

# The input of a model: a table, or arrays by the names of its tensors.
ModelInput = pd.DataFrame | dict[str, Any]


class UnfitTable(Exception):
    """A table does not fit the tensors of a signature; the message names both."""


def joint_tensor(schema: Schema | None, columns: Iterable[Any]) -> TensorSpec | None:
    """Return the single tensor that all columns of a table form; None if there is none."""
    if schema is None or not schema.is_tensor_spec() or len(schema.inputs) != 1:
        return None
    (spec,) = schema.inputs
    named = spec.name is not None and spec.name in list(columns)
    return spec if isinstance(spec, TensorSpec) and not named else None


def without_name(schema: Schema) -> Schema:
    """Return a schema of a single tensor without the tensor's name."""
    (spec,) = schema.inputs
    assert isinstance(spec, TensorSpec)  # noqa: S101  # the caller has called `joint_tensor`
    return Schema([TensorSpec(spec.type, spec.shape)])


def check_width(spec: TensorSpec, columns: Iterable[Any]) -> None:
    """Check that the columns side by side have the shape of a tensor.

    Raises:
        UnfitTable: The shapes differ.
    """
    names = [str(name) for name in columns]
    width = 1 if len(spec.shape) == 1 else spec.shape[1]
    named = f"the model's input {spec.name!r}" if spec.name else "the model's input"
    if len(spec.shape) > 2:
        column = f"a column {spec.name!r}" if spec.name else "one column"
        raise UnfitTable(
            f"{named} has the shape {spec.shape} for so many rows, which columns of a table cannot "
            f"make; give it {column} of flat lists, each of all values of a row"
        )
    if width not in (-1, len(names)):
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise UnfitTable(f"{named} takes {width} values a row, and there are {len(names)}: {shown}")


def model_input(frame: pd.DataFrame, schema: Schema) -> ModelInput:
    """Convert a table to the input of a model, cast to the tensors' types if no value changes.

    Raises:
        UnfitTable: The columns do not form the single tensor.
    """
    spec = joint_tensor(schema, frame.columns)
    typed = _cast(frame, schema, spec)
    if spec is not None and (spec.name is not None or len(frame.columns) > 1):
        check_width(spec, frame.columns)
    if spec is None or spec.name is None:
        return typed
    array = typed.to_numpy()
    return {str(spec.name): array[:, 0] if len(spec.shape) == 1 else array}


def slice_rows(rows: ModelInput, positions: slice) -> ModelInput:
    """Return a slice of the rows of a model's input."""
    if isinstance(rows, pd.DataFrame):
        return rows.iloc[positions]
    return {name: array[positions] for name, array in rows.items()}


def _cast(frame: pd.DataFrame, schema: Schema, one: TensorSpec | None) -> pd.DataFrame:
    """Cast the columns to the types of the tensors, as far as no value changes.

    Columns that do not fit are left unchanged, and MLflow refuses them with its own message.
    """
    specs = {str(spec.name): spec for spec in schema.inputs if spec.name is not None}
    columns = {}
    for name in frame.columns:
        spec = one or specs.get(str(name))
        kind: Any = spec.type if isinstance(spec, TensorSpec) else None
        columns[name] = frame[name] if kind is None else _column(frame[name], kind)
    return pd.DataFrame(columns, index=frame.index)


def _column(values: pd.Series, kind: np.dtype[Any]) -> pd.Series:
    if isinstance(values.dtype, np.dtype) and np.can_cast(values.dtype, kind, "same_kind"):
        typed = values.astype(kind)
        return typed if kind.kind == "f" or (typed == values).all() else values
    if values.dtype == object:  # MLflow casts lists to the tensor's type, but never arrays
        return values.map(lambda cell: cell.tolist() if isinstance(cell, np.ndarray) else cell)
    return values
