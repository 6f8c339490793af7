"""Cuts the predictions of a batch into those of each request, as JSON text or as columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.utils.proto_json_utils import NumpyEncoder, _get_jsonable_obj
from pandas.api.extensions import ExtensionDtype

from cloche.serving.host.predictors.twin import TwinPrediction

BARE = ""  # the key of an output without a name
LISTS = {b"cloche.cells": b"lists"}  # Arrow's metadata of a column of Python lists
encode = NumpyEncoder().encode
_MANY_COLUMNS = 3  # of fewer, looking at their types takes as long as it gains


class TwinPredictions:
    """The predictions of the accelerated twin for a batch.

    Those of one request are the rows `start` up to `end`.
    """

    def __init__(self, prediction: TwinPrediction) -> None:
        self._prediction = prediction

    @property
    def single(self) -> bool:
        """Whether there is exactly one named output."""
        names = self._prediction.names
        return names is not None and len(names) == 1

    def text(self, start: int, end: int) -> str:
        """Return the predictions in JSON, as MLflow writes them."""
        return "[" + ", ".join(self._texts[start:end]) + "]"

    def columns(self, start: int, end: int) -> dict[str, Any]:
        """Return the predictions by output; the key of an output without a name is `BARE`."""
        names = self._prediction.names
        cut = [column[start:end] for column in self._prediction.columns]
        return {BARE: cut[0]} if names is None else dict(zip(names, cut, strict=True))

    @property
    def rows(self) -> int:
        """The number of rows that were asked for."""
        return len(self._prediction.sure)

    @property
    def repeated(self) -> str:
        """A name that several columns have: a graph has none."""
        return ""

    @cached_property
    def table(self) -> pa.Table | None:
        """The predictions as an Arrow table; None for an output without a name."""
        names = self._prediction.names
        return None if names is None else pa.table(list(self._prediction.columns), list(names))

    @cached_property
    def _texts(self) -> list[str]:
        """The rows in JSON, as MLflow writes them: each a record, a value, or a list."""
        names = self._prediction.names
        texts = [_cell_texts(column) for column in self._prediction.columns]
        if names is None:
            return texts[0]
        template = ", ".join(json.dumps(name).replace("%", "%%") + ": %s" for name in names)
        record = "{" + template + "}"
        return [record % row for row in zip(*texts, strict=True)]


class ModelPredictions:
    """The return value of the model, of any type, for a number of rows."""

    def __init__(self, raw: Any, rows: int) -> None:
        self._raw = raw
        self._rows = rows

    @property
    def single(self) -> bool:
        """Whether there is exactly one named output."""
        if isinstance(self._raw, pd.DataFrame):
            return self._raw.shape[1] == 1
        return isinstance(self._raw, pd.Series)

    @property
    def rows(self) -> int:
        """The number of rows that were asked for."""
        return self._rows

    @property
    def divisible(self) -> bool:
        """Whether the value has one prediction for each row."""
        kinds = (np.ndarray, pd.DataFrame, pd.Series, list)
        return isinstance(self._raw, kinds) and len(self._raw) == self._rows

    def text(self, start: int, end: int) -> str:
        """Return the predictions in JSON, as MLflow writes them."""
        whole = (start, end) == (0, self._rows)
        return encode(self._jsonable if whole else self._jsonable[start:end])

    def columns(self, start: int, end: int) -> dict[str, Any]:
        """Return the predictions by output."""
        raw = self._raw
        if (start, end) != (0, self._rows):
            raw = raw.iloc[start:end] if hasattr(raw, "iloc") else raw[start:end]
        if isinstance(raw, pd.DataFrame):
            return {str(name): cells for name, cells in raw.items()}
        if isinstance(raw, dict):
            return {str(name): values for name, values in raw.items()}
        return _by_name(raw) if isinstance(raw, list) else {BARE: raw}

    @property
    def repeated(self) -> str:
        """A name that several columns have; empty if there is none."""
        if not isinstance(self._raw, pd.DataFrame) or self._raw.columns.is_unique:
            return ""
        return str(self._raw.columns[self._raw.columns.duplicated()][0])

    @cached_property
    def table(self) -> pa.Table | None:
        """The predictions as an Arrow table; None for values without names."""
        if isinstance(self._raw, pd.DataFrame) and (numbers := _numbers(self._raw)) is not None:
            return numbers
        columns = self.columns(0, self._rows)
        if BARE in columns:
            return None
        if not isinstance(self._raw, pd.DataFrame):
            table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
        elif any(_needs_metadata(cells.dtype) for cells in columns.values()):
            table = pa.Table.from_pandas(self._raw, preserve_index=False)
        else:
            table = pa.table({name: _array(cells) for name, cells in columns.items()})
        return _with_lists_noted(table, columns)

    @cached_property
    def _jsonable(self) -> Any:
        return _get_jsonable_obj(self._raw, pandas_orient="records")


Predicted = TwinPredictions | ModelPredictions


def _by_name(rows: Sequence[Any]) -> dict[str, Any]:
    """Convert records that all have the same keys to outputs; other rows are one output."""
    first = rows[0] if rows else None
    if not isinstance(first, dict) or not first:
        return {BARE: rows}
    if any(not isinstance(row, dict) or row.keys() != first.keys() for row in rows):
        return {BARE: rows}
    return {str(name): [row[name] for row in rows] for name in first}


def _numbers(frame: pd.DataFrame) -> pa.Table | None:
    """Return a table of columns that all have one type of numpy's numbers; None for others.

    A frame keeps such columns as one array; making a series of each takes several times as long.
    """
    if frame.shape[1] < _MANY_COLUMNS or len(types := set(frame.dtypes)) > 1:
        return None
    names = list(map(str, frame.columns))
    if not _is_number(types.pop()) or BARE in names:
        return None
    arrays = [pa.array(cells, from_pandas=True) for cells in frame.to_numpy().T]
    return pa.Table.from_arrays(arrays, names=names)


def _array(cells: Any) -> pa.Array | pa.ChunkedArray:
    if _is_number(cells.dtype):  # pyarrow takes several times as long for a series
        return pa.array(cells.to_numpy(), from_pandas=True)
    return pa.Array.from_pandas(cells)


def _is_number(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _with_lists_noted(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """Return a table whose fields tell which columns had lists, and not arrays, as their cells."""
    schema = table.schema
    for place, (kind, cells) in enumerate(zip(schema.types, columns.values(), strict=True)):
        if pa.types.is_list(kind) and isinstance(_first(cells), list | tuple):
            schema = schema.set(place, schema.field(place).with_metadata(LISTS))
    return table if schema is table.schema else pa.Table.from_arrays(table.columns, schema=schema)


def _first(cells: Iterable[Any]) -> Any:
    """Return the first cell that is not missing; None without one."""
    return next((cell for cell in cells if isinstance(cell, list | tuple | np.ndarray)), None)


def _needs_metadata(dtype: Any) -> bool:
    """Whether only pandas' metadata in a table tell that a column has this type."""
    return isinstance(dtype, ExtensionDtype) and not isinstance(dtype, pd.StringDtype)


def _cell_texts(column: Any) -> list[str]:
    values = column.tolist()
    plain = column.ndim == 1 and column.dtype.kind in "fiu"
    return list(map(repr if plain else json.dumps, values))
