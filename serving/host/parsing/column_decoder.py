"""Converts JSON rows to typed columns without MLflow's parsing, if the result is provably the same.

A column decoder is compiled once from a signature. It reads a request only if every cell has a
Python type for which MLflow's parsing and enforcement are known to give the signature's column
type. Columns that the signature does not name are left out, as MLflow leaves them out. It declines
all other requests, and MLflow parses them. `tests/protocol/test_plan.py` compares both ways with
generated requests. Declining is always correct.
"""

import json
import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.models import Model
from mlflow.types import DataType, Schema

from cloche.serving.host.parsing.named_columns import Cells, may_be_left_out, read_columns
from cloche.values.json_layouts import LAYOUTS

Row = Sequence[Any]
Column = Sequence[Any] | npt.NDArray[Any]
Types = type | frozenset[type]  # the type of a column's single cell, or the types of all its cells

_EXACT_IN_DOUBLE = 2**53
_SINGLE_MAX = float(np.finfo(np.float32).max)
_NOT_PLANNED = {"messages", "prompt", "input"}  # keys of MLflow's unified LLM format
_TENSOR_LIKE = {"instances", "inputs"}  # layouts that MLflow converts to numpy arrays first
_MANY_ROWS = 1000  # of a request that is converted by columns, not together with others
_CACHED_CHECKS = 512  # maximum number of cached combinations of cell types


class Table(NamedTuple):
    """The rows of one request, each in the order of the signature; or their columns.

    Tables with equal keys give equal column types and parameters, so they may be joined.

    Attributes:
        key: The column types and parameters, which must be equal in tables that are joined.
        columns: The columns of a request by column, instead of rows, in the form that
            `ColumnDecoder.columns` returns.
        sent: The columns that the model does not take, and the prediction log keeps, by name.
        indexed: Whether the request numbers its rows otherwise than from 0. Only a twin may answer
            it with others: a model would see the index in its data frame.
    """

    key: Hashable
    rows: Sequence[Row]
    params: dict[str, Any] | None = None
    columns: "Sequence[Column] | None" = None
    sent: Mapping[str, Cells] = MappingProxyType({})
    indexed: bool = False

    @property
    def length(self) -> int:
        """The number of rows."""
        return len(self.rows if self.columns is None else self.columns[0])

    def single_rows(self) -> list["Table"]:
        """Split the table into tables of one row each."""
        if self.columns is None:
            return [Table(self.key, [row], self.params) for row in self.rows]
        return [
            Table(self.key, (), self.params, [column[at : at + 1] for column in self.columns])
            for at in range(self.length)
        ]


class ColumnDecoder:
    """Decodes requests to columns, for a signature of named columns of scalar types."""

    def __init__(
        self, names: Sequence[str], types: Sequence[DataType], sent: Collection[str] = ()
    ) -> None:
        """Compile the rules of the columns.

        Args:
            names: The names of the signature's columns.
            types: Their types.
            sent: The names of columns that the prediction log keeps even if the model takes none
                of that name.
        """
        self.names = list(names)
        self.types = list(types)
        self._sent = [name for name in sent if name not in names]
        self._name_set = frozenset(names)
        self._index = pd.Index(self.names)
        self._one_type = len(set(types)) == 1 and DataType.string not in types
        self._rules = [_RULES[kind] for kind in types]
        self._cached_check = lru_cache(_CACHED_CHECKS)(self._check_types)

    def read(self, payload: Any) -> Table | None:
        """Read the table in a parsed JSON payload; None if MLflow must parse it."""
        if not isinstance(payload, dict) or (layout := _layout(payload)) is None:
            return None
        params = payload.get("params")
        if params is not None and not isinstance(params, dict):
            return None
        content = payload[layout]
        rows = self._rows(layout, content)
        if rows is not None:
            kinds = self._kinds(rows, layout in _TENSOR_LIKE)
            return Table(table_key(kinds, params), rows, params) if kinds else None
        with suppress(KeyError):  # a row lacks a column
            return self._read_by_name(layout, content, params)
        return None

    def _read_by_name(
        self, layout: str, content: Any, params: dict[str, Any] | None
    ) -> Table | None:
        """Read a table of many rows, with an index, or with columns that the model does not take.

        Raises:
            KeyError: A row lacks a column.
        """
        found = read_columns(layout, content)
        if found is None:
            return None
        columns = [found.columns[name] for name in self.names]
        others: dict[str, Cells] = {}
        if len(found.columns) > len(columns):
            names = found.columns.keys() - self._name_set
            others = {name: tuple(found.columns[name]) for name in names}
            if not may_be_left_out(others):
                return None
        rows: Sequence[Row] = ()
        typed = None
        if found.length < _MANY_ROWS:
            rows = list(zip(*columns, strict=True))
            kinds = self._kinds(rows, layout in _TENSOR_LIKE)
        else:  # loops over rows would take as long as parsing them
            whole = list(map(tuple, columns))
            kinds = self._kinds_of_columns(whole, layout in _TENSOR_LIKE)
            typed = self._to_arrays(whole) if kinds else None
        if kinds is None:
            return None
        sent = {name: others[name] for name in self._sent if name in others}
        key = table_key(kinds, params)
        if sent or found.indexed:
            key = key, tuple(sent), found.indexed
        return Table(key, rows, params, typed, sent, found.indexed)

    def join(self, tables: Sequence[Table]) -> list[Column]:
        """Concatenate the columns of `tables`, which must have equal keys."""
        if all(table.columns is None for table in tables):
            return self.columns([row for table in tables for row in table.rows])
        if len(tables) == 1 and tables[0].columns is not None:
            return list(tables[0].columns)
        parts = [
            self.columns(table.rows) if table.columns is None else table.columns for table in tables
        ]
        return [
            [cell for part in column for cell in part]
            if kind is DataType.string
            else np.concatenate(column)
            for kind, column in zip(self.types, zip(*parts, strict=True), strict=True)
        ]

    def columns(self, rows: Sequence[Row]) -> list[Column]:
        """Convert `rows` to columns: arrays of the planned types, strings unchanged."""
        return self._to_arrays(zip(*rows, strict=True))

    def _to_arrays(self, columns: Iterable[Cells]) -> list[Column]:
        return [
            cells if kind is DataType.string else np.array(cells, kind.to_numpy())
            for kind, cells in zip(self.types, columns, strict=True)
        ]

    def frame(self, columns: Sequence[Column]) -> pd.DataFrame:
        """Create the data frame of `columns` that MLflow's enforcement would create."""
        if self._one_type:  # one array of all is made a frame of in a tenth of the time
            return pd.DataFrame(np.array(columns).T, columns=self._index.view(), copy=False)
        named = zip(self.names, columns, strict=True)
        return pd.DataFrame({n: list(c) if type(c) is tuple else c for n, c in named})

    def _kinds(self, rows: Sequence[Row], tensor_like: bool) -> str | None:
        """Return one letter for each column's resulting type; None if the request is declined."""
        if len(rows) > 1:
            return self._kinds_of_columns(list(zip(*rows, strict=True)), tensor_like)
        kinds, checks = self._cached_check(tuple(map(type, rows[0])), tensor_like)
        for position, fits in checks:
            if not fits((rows[0][position],)):
                return None
        return kinds

    def _kinds_of_columns(self, columns: Sequence[Cells], tensor_like: bool) -> str | None:
        types = tuple(frozenset(map(type, column)) for column in columns)
        kinds, checks = self._cached_check(types, tensor_like)
        return kinds if all(fits(columns[position]) for position, fits in checks) else None

    def _check_types(self, types: Sequence[Types], tensor_like: bool) -> "_TypeCheck":
        """Check the columns by the types of their cells alone; the result is cached."""
        kinds, checks = [], []
        for position, (rule, found) in enumerate(zip(self._rules, types, strict=True)):
            several = found if isinstance(found, frozenset) else frozenset({found})
            kind = rule.kind(several, tensor_like)
            if kind is None:
                return _TypeCheck(None, ())
            kinds.append(kind)
            matters = (tensor_like or rule.always) and not several.isdisjoint(rule.checked)
            if rule.fits is not None and matters:
                checks.append((position, rule.fits))
        return _TypeCheck("".join(kinds), tuple(checks))

    def _rows(self, layout: str, content: Any) -> Sequence[Row] | None:
        """Return the rows of the usual request: few, and with the signature's columns alone."""
        if layout == "dataframe_split":
            return self._from_split(content)
        if layout == "inputs" and isinstance(content, dict):
            return self._from_columns(content)
        if type(content) is not list or not 0 < len(content) < _MANY_ROWS:
            return None
        if any(type(row) is not dict or row.keys() != self._name_set for row in content):
            return None
        return [[row[name] for name in self.names] for row in content]

    def _from_split(self, content: Any) -> Sequence[Row] | None:
        if not isinstance(content, dict) or len(content) != 2:
            return None
        names, rows = content.get("columns"), content.get("data")
        if type(names) is not list or type(rows) is not list or not 0 < len(rows) < _MANY_ROWS:
            return None
        width = len(self.names)
        for row in rows:  # usually there is one row, for which any() with a generator is slower
            if type(row) is not list or len(row) != width:
                return None
        if names == self.names:
            return rows
        if len(names) != width or {n for n in names if type(n) is str} != self._name_set:
            return None
        order = [names.index(name) for name in self.names]
        return [[row[position] for position in order] for row in rows]

    def _from_columns(self, content: dict[str, Any]) -> Sequence[Row] | None:
        if content.keys() != self._name_set:
            return None
        columns = [content[name] for name in self.names]
        length = len(columns[0]) if type(columns[0]) is list else 0
        if not length or any(type(c) is not list or len(c) != length for c in columns):
            return None
        return list(zip(*columns, strict=True))


def _layout(payload: dict[str, Any]) -> str | None:
    """Return the layout of a payload; None if its keys are ambiguous."""
    if len(payload) == 1:  # the usual case; sets are slower
        (key,) = payload
        return key if key in LAYOUTS else None
    layouts = payload.keys() & LAYOUTS
    return layouts.pop() if len(layouts) == 1 and _NOT_PLANNED.isdisjoint(payload) else None


def table_key(kinds: str, params: dict[str, Any] | None) -> Hashable:
    """Create the key of a table from the letters of its column types and its parameters."""
    return kinds, json.dumps(params, sort_keys=True) if params else ""


def compile_decoder(metadata: Model, sent: Collection[str] = ()) -> ColumnDecoder | None:
    """Create the column decoder for a model's signature; None if it is not known to be exact.

    Args:
        metadata: The model's metadata.
        sent: The names of columns that the prediction log keeps even if the model takes none of
            that name.
    """
    schema: Schema | None = metadata.get_input_schema()
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    if reads_type_hints(metadata):
        return None
    names = [str(name) for name in schema.input_names()]
    types = [kind for kind in schema.input_types() if isinstance(kind, DataType)]
    planned = len(types) == len(names) == len(set(names)) and _RULES.keys() >= set(types)
    return ColumnDecoder(names, types, sent) if planned else None


def has_type_hints(metadata: Model) -> bool:
    """Whether MLflow parses payloads only by the type hints of the model's function."""
    check: Callable[[], bool] = getattr(metadata, "_is_signature_from_type_hint", lambda: False)
    return check()


def reads_type_hints(metadata: Model) -> bool:
    """Whether a type hint defines the model's input: its own, or one from its input example."""
    check: Callable[[], bool] = getattr(metadata, "_is_type_hint_from_example", lambda: False)
    return has_type_hints(metadata) or check()


class _TypeCheck(NamedTuple):
    """The result for some types of cells: the columns' letters, and checks that values still need.

    Attributes:
        kinds: One letter for each column's resulting type; None to decline.
        checks: The position of each column to check, with its check.
    """

    kinds: str | None
    checks: tuple[tuple[int, "_Fits"], ...]


_Fits = Callable[[Cells], bool]


class _Rule(NamedTuple):
    """The cells that the column decoder accepts for a column type.

    Attributes:
        kind: Returns a letter for the resulting type of a column, by its cells' types; None to
            decline.
        checked: The cell types whose values must be checked, too.
        fits: Returns whether the values of a column may be accepted.
        always: Whether to check values in every layout, not only in those that become numpy arrays.
    """

    kind: Callable[[frozenset[type], bool], str | None]
    checked: frozenset[type] = frozenset()
    fits: _Fits | None = None
    always: bool = True


_NONE = type(None)


def _number_kind(types: frozenset[type], tensor_like: bool) -> str | None:
    return "n" if types <= ({float, int} if tensor_like else {float, int, _NONE}) else None


def _string_kind(types: frozenset[type], tensor_like: bool) -> str | None:
    if types == {str}:
        return "s"
    if tensor_like or not types <= {str, _NONE}:
        return None
    return "o" if types == {_NONE} else "s"  # a column of only None stays a column of objects


def _only(cell_type: type, kind: str) -> Callable[[frozenset[type], bool], str | None]:
    return lambda types, _: kind if types == {cell_type} else None


def _exact_in_double(cells: Cells) -> bool:
    return all(abs(cell) <= _EXACT_IN_DOUBLE for cell in cells if type(cell) is int)


def _exact_or_single(cells: Cells) -> bool:
    singles = (cell for cell in cells if type(cell) is float)
    if any(_SINGLE_MAX < abs(cell) < math.inf for cell in singles):
        return False
    return _exact_in_double(cells)


def _integers(bits: int) -> _Rule:
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def fits(cells: Cells) -> bool:
        return bool(min(cells) >= lowest and max(cells) <= highest)

    return _Rule(_only(int, "i"), frozenset({int}), fits)


def _survives_numpy(cells: Cells) -> bool:
    # numpy's fixed-width strings drop trailing NULs
    return not any(cell is not None and cell.endswith("\0") for cell in cells)


_RULES: dict[Any, _Rule] = {
    DataType.double: _Rule(_number_kind, frozenset({int}), _exact_in_double),
    DataType.float: _Rule(_number_kind, frozenset({int, float}), _exact_or_single),
    DataType.long: _integers(64),
    DataType.integer: _integers(32),
    DataType.boolean: _Rule(_only(bool, "b")),
    DataType.string: _Rule(_string_kind, frozenset({str}), _survives_numpy, always=False),
}
