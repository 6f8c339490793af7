"""The fast path into a model.

JSON rows become typed columns without MLflow's parsing, where that is provably the same.

A plan is compiled once from a signature. It reads a request only if every cell has the very Python
type for which MLflow's parsing and enforcement are known to give the planned column type; it
declines everything else, which then takes MLflow's own way. `tests/protocol/test_plan.py` compares
both ways over generated requests. Declining is always correct.
"""

import json
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import Model
from mlflow.types import DataType, Schema

Column = Sequence[Any]

_EXACT_IN_DOUBLE = 2**53
_SINGLE_MAX = float(np.finfo(np.float32).max)
_NOT_PLANNED = {"messages", "prompt", "input"}  # keys of the unified LLM form
_LAYOUTS = {"dataframe_split", "dataframe_records", "instances", "inputs"}


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one request, by columns in the order of the signature.

    Tables with equal keys give equal column types and parameters, so they may be joined.
    """

    key: Hashable
    columns: list[Column]
    rows: int
    params: dict[str, Any] | None = None

    def single_rows(self) -> list["Table"]:
        """Each row as a table of its own."""
        return [
            Table(self.key, [[column[row]] for column in self.columns], 1, self.params)
            for row in range(self.rows)
        ]


class Plan:
    """How requests for one named, scalar-typed, column-based signature become a DataFrame."""

    def __init__(self, names: Sequence[str], types: Sequence[DataType]) -> None:
        self._names = list(names)
        self._name_set = frozenset(names)
        self._types = list(types)
        self._accept = [_ACCEPTS[kind] for kind in types]

    def read(self, payload: Any) -> Table | None:
        """The table in a parsed JSON payload; None where only MLflow's own way is sure."""
        if not isinstance(payload, dict) or not _NOT_PLANNED.isdisjoint(payload):
            return None
        layouts = _LAYOUTS.intersection(payload)
        if len(layouts) != 1:
            return None
        params = payload.get("params")
        if params is not None and not isinstance(params, dict):
            return None
        layout = layouts.pop()
        columns = self._columns(layout, payload[layout])
        if columns is None:
            return None
        tensor_like = layout in ("instances", "inputs")
        kinds = []
        for accept, column in zip(self._accept, columns, strict=True):
            kind = accept(column, tensor_like)
            if kind is None:
                return None
            kinds.append(kind)
        key = ("".join(kinds), json.dumps(params, sort_keys=True) if params else "")
        return Table(key, columns, len(columns[0]), params)

    def frame(self, tables: Sequence[Table]) -> pd.DataFrame:
        """The rows of `tables`, which have equal keys, as MLflow's enforcement would leave them."""
        data: dict[str, Any] = {}
        for position, (name, kind) in enumerate(zip(self._names, self._types, strict=True)):
            cells: Column
            if len(tables) == 1:
                cells = tables[0].columns[position]
            else:
                cells = [cell for table in tables for cell in table.columns[position]]
            data[name] = cells if kind is DataType.string else np.array(cells, kind.to_numpy())
        return pd.DataFrame(data)

    def _columns(self, layout: str, content: Any) -> list[Column] | None:
        if layout == "dataframe_split":
            return self._from_split(content)
        if layout == "inputs" and isinstance(content, dict):
            return self._from_columns(content)
        return self._from_records(content)

    def _from_split(self, content: Any) -> list[Column] | None:
        if not isinstance(content, dict) or content.keys() != {"columns", "data"}:
            return None
        names, rows = content["columns"], content["data"]
        if not (isinstance(names, list) and isinstance(rows, list) and rows):
            return None
        width = len(self._names)
        if any(type(row) is not list or len(row) != width for row in rows):
            return None
        columns: list[Column] = list(zip(*rows, strict=True))
        if names == self._names:
            return columns
        if len(names) != width or {n for n in names if type(n) is str} != self._name_set:
            return None
        place = {name: position for position, name in enumerate(names)}
        return [columns[place[name]] for name in self._names]

    def _from_records(self, content: Any) -> list[Column] | None:
        if not isinstance(content, list) or not content:
            return None
        if any(type(row) is not dict or row.keys() != self._name_set for row in content):
            return None
        return [[row[name] for row in content] for name in self._names]

    def _from_columns(self, content: dict[str, Any]) -> list[Column] | None:
        if content.keys() != self._name_set:
            return None
        columns = [content[name] for name in self._names]
        length = len(columns[0]) if type(columns[0]) is list else 0
        if not length or any(type(c) is not list or len(c) != length for c in columns):
            return None
        return columns


def compile_plan(metadata: Model) -> Plan | None:
    """The plan for a model's signature, or None where the fast path is not known to be exact."""
    schema: Schema | None = metadata.get_input_schema()
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    if _reads_type_hints(metadata):
        return None
    names = [str(name) for name in schema.input_names()]
    types = [kind for kind in schema.input_types() if isinstance(kind, DataType)]
    planned = len(types) == len(names) == len(set(names)) and _ACCEPTS.keys() >= set(types)
    return Plan(names, types) if planned else None


def _reads_type_hints(metadata: Model) -> bool:
    checks: Iterable[Callable[[], bool]] = (
        getattr(metadata, name, lambda: False)
        for name in ("_is_signature_from_type_hint", "_is_type_hint_from_example")
    )
    return any(check() for check in checks)


def _numbers(column: Column, tensor_like: bool) -> str | None:
    types = set(map(type, column))
    if types == {float}:
        return "n"
    if not types <= {float, int, type(None)} or (tensor_like and type(None) in types):
        return None
    whole = (cell for cell in column if type(cell) is int)
    return "n" if all(abs(cell) <= _EXACT_IN_DOUBLE for cell in whole) else None


def _singles(column: Column, tensor_like: bool) -> str | None:
    numbers = (cell for cell in column if type(cell) is float)
    if any(_SINGLE_MAX < abs(cell) < math.inf for cell in numbers):
        return None
    return _numbers(column, tensor_like)


def _integers(bits: int) -> Callable[[Column, bool], str | None]:
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def accept(column: Column, tensor_like: bool) -> str | None:  # noqa: ARG001
        if set(map(type, column)) != {int}:
            return None
        return "i" if min(column) >= lowest and max(column) <= highest else None

    return accept


def _booleans(column: Column, tensor_like: bool) -> str | None:  # noqa: ARG001
    return "b" if set(map(type, column)) == {bool} else None


def _strings(column: Column, tensor_like: bool) -> str | None:
    types = set(map(type, column))
    if types == {str}:
        # numpy's fixed-width strings drop trailing NULs
        return None if tensor_like and any(cell.endswith("\0") for cell in column) else "s"
    if tensor_like or not types <= {str, type(None)}:
        return None
    return "o" if types == {type(None)} else "s"  # all None stays a column of objects


_ACCEPTS: dict[Any, Callable[[Column, bool], str | None]] = {
    DataType.double: _numbers,
    DataType.float: _singles,
    DataType.long: _integers(64),
    DataType.integer: _integers(32),
    DataType.boolean: _booleans,
    DataType.string: _strings,
}
