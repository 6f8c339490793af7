"""Keeps MLflow from changing missing and invalid values while it parses JSON.

MLflow casts cells by numpy: a missing boolean becomes false, any string becomes true, and in the
layouts that become arrays a missing string becomes the string "None". Columns with missing values
are therefore parsed without a cast, as in other formats; values that are then still impossible are
refused. `json_types.py` handles the types that JSON does not have.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from cloche.serving.host.answers.error_answers import InvalidCell
from cloche.serving.host.answers.mistake import describe_kind
from cloche.serving.host.parsing.json_types import JsonTypes
from cloche.serving.host.parsing.older_mlflow import Array, Map, Object, without_casts

_ROWS = frozenset({"dataframe_split", "dataframe_records"})
_ARRAYS = frozenset({"instances", "inputs"})  # layouts that MLflow converts to numpy arrays
_LOSSY = (DataType.boolean, DataType.string, DataType.binary)
_LOSSY_DTYPES = "bSU"


class MissingValueGuard:
    """Checks the cells of a payload before MLflow parses them.

    Attributes:
        needed: Whether the signature has columns that must be checked.
    """

    def __init__(self, schema: Schema | None, *, by_type_hints: bool = False) -> None:
        """Store the signature's inputs.

        Args:
            schema: The signature's inputs.
            by_type_hints: Whether MLflow parses payloads by the type hints of the model's function,
                which cast nothing.
        """
        self._schema = schema
        self._specs = [] if schema is None or by_type_hints else list(schema.inputs)
        self._types = JsonTypes(None if by_type_hints else schema)
        lossy = any(_is_lossy(spec.type) for spec in self._specs)
        self.needed = lossy or self._types.needed

    def prepare(self, payload: Any) -> Schema | None:
        """Convert values of a parsed payload in place, and return the schema to parse it with.

        Raises:
            InvalidCell: A cell is no value of its column's type.
        """
        layouts = (_ROWS | _ARRAYS).intersection(payload) if isinstance(payload, dict) else ()
        if not self.needed or len(layouts) != 1:
            return self._schema
        (layout,) = layouts
        self._types.rewrite(layout, payload[layout])
        uncast = self._types.nested | self._lossy_columns(layout, payload[layout])
        return without_casts(self._specs, uncast) if uncast else self._schema

    def schema_for_csv(self) -> Schema | None:
        """Return the schema to parse CSV with: datetimes as strings, which pandas requires."""
        if self._schema is None or not self._types.needed:
            return self._schema
        return Schema(
            [
                ColSpec(DataType.string, spec.name, required=spec.required)
                if spec.type is DataType.datetime
                else spec
                for spec in self._schema.inputs
            ]
        )

    def _lossy_columns(self, layout: str, content: Any) -> set[int]:
        """Return the positions of the columns in which a cast would change missing values."""
        return {
            at
            for at, spec in enumerate(self._specs)
            if _is_lossy(spec.type)
            # In layouts of rows, columns have the dtype object, in which strings do not change.
            and not (spec.type is DataType.string and layout in _ROWS)
            and _has_lossy_gaps(self._cells(content, at), spec, as_array=layout in _ARRAYS)
        }

    def _cells(self, content: Any, at: int) -> Sequence[Any]:
        """Return the cells of a column, as far as the content has the expected form."""
        name = self._specs[at].name
        if isinstance(content, dict) and "data" in content and name not in content:
            return _split_cells(content, name, at)
        if isinstance(content, dict):
            cells = content.get(name, ())
            return cells if isinstance(cells, (list, tuple)) else [cells]
        if not isinstance(content, list):
            return [content]
        if content and isinstance(content[0], dict):
            rows = [row for row in content if isinstance(row, dict)]
            key = next(iter([*rows[0]][at : at + 1]), None) if name is None else name
            return [row.get(key) for row in rows] if any(key in row for row in rows) else ()
        if name is None:  # MLflow casts all columns without names to the type of the first
            return [*flatten(content)] if at == 0 else ()
        return content if len(self._specs) == 1 else ()


def lossy_arrays(schema: Schema | None) -> list[ColSpec]:
    """Return the named columns whose lists become arrays that cannot hold missing values."""
    if schema is None or not schema.has_input_names():
        return []
    return [
        spec
        for spec in schema.inputs
        if isinstance(spec, ColSpec)
        and isinstance(spec.type, (Array, Object, Map))
        and _is_lossy(spec.type)
    ]


def refuse_gaps(data: Any, columns: Sequence[ColSpec]) -> None:
    """Refuse a table with missing elements in the lists of these columns.

    Raises:
        InvalidCell: An element is missing.
    """
    if isinstance(data, pd.DataFrame):
        for spec in columns:
            if spec.name in data.columns:
                _has_lossy_gaps(data[spec.name], spec, as_array=False)


def _split_cells(content: dict[str, Any], name: Any, at: int) -> Sequence[Any]:
    rows, names = content["data"], content.get("columns")
    if isinstance(names, list) and name is not None:
        if name not in names:
            return ()
        at = names.index(name)
    if not isinstance(rows, list):
        return ()
    return [row[at] for row in rows if isinstance(row, list) and at < len(row)]


def _is_lossy(kind: Any) -> bool:
    """Whether a cast to this type changes a missing value to another value."""
    if isinstance(kind, Array):
        return _is_lossy(kind.dtype)
    if isinstance(kind, Object):
        return any(_is_lossy(one.dtype) for one in kind.properties)
    if isinstance(kind, Map):
        return _is_lossy(kind.value_type)
    if isinstance(kind, np.dtype):
        return kind.kind in _LOSSY_DTYPES
    return kind in _LOSSY


def _has_lossy_gaps(cells: Any, spec: ColSpec | TensorSpec, *, as_array: bool) -> bool:
    """Whether a column has missing cells that a cast would change.

    Raises:
        InvalidCell: A cell is no value of the type, or a missing value that the column cannot hold.
    """
    lacks = False
    for row, cell in enumerate(cells):
        if isinstance(spec, TensorSpec):
            fits = all(_is_element(leaf, spec.type) for leaf in flatten(cell))
        elif not isinstance(spec.type, DataType):
            fits = _holds(cell, spec.type)
        elif _is_missing(cell):
            if spec.type is DataType.string:
                fits, lacks = True, lacks or as_array
            else:
                fits = spec.type is DataType.boolean and not spec.required
                lacks = True
        else:
            fits = spec.type is not DataType.boolean or _is_truth(cell)
        if not fits:
            raise InvalidCell(spec.name, row, spec.type, describe_kind(cell, spec.type))
    return lacks


def _holds(cell: Any, kind: Any) -> bool:
    """Whether no cast would change a missing element in the arrays of a cell."""
    if isinstance(kind, Array) and isinstance(cell, (list, np.ndarray)):
        if isinstance(kind.dtype, DataType):
            return all(_is_element(element, kind.dtype) for element in cell)
        return all(_holds(element, kind.dtype) for element in cell)
    if isinstance(cell, dict):
        if isinstance(kind, Object):
            return all(_holds(cell.get(one.name), one.dtype) for one in kind.properties)
        if isinstance(kind, Map):
            return all(_holds(value, kind.value_type) for value in cell.values())
    return True  # MLflow's enforcement decides


def _is_element(element: Any, kind: Any) -> bool:
    """Whether an element of an array does not change when the array is cast."""
    if not _is_lossy(kind):
        return True
    truth = kind is DataType.boolean or (isinstance(kind, np.dtype) and kind.kind == "b")
    return not _is_missing(element) and (not truth or _is_truth(element))


def _is_truth(cell: Any) -> bool:
    return isinstance(cell, (bool, int, float, np.bool_, np.number))


def _is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell))


def flatten(cell: Any) -> Iterator[Any]:
    """Yield the elements of nested lists, or a cell that is no list."""
    if isinstance(cell, list):
        for one in cell:
            yield from flatten(one)
    else:
        yield cell
