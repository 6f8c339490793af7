"""Converts values of a payload to the types of the signature that JSON does not have.

Datetimes are read in UTC in every layout and format. MLflow itself refuses strings with a time
zone, parses only one of two formats in a column, and in layouts that become numpy arrays silently
changes a year out of range. Strings in ISO 8601 are therefore replaced by the same datetimes in one
format, before MLflow parses them. MLflow parses other strings, and numbers.

In lists, objects and maps MLflow accepts neither datetimes nor 32-bit numbers from JSON.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import ColSpec, DataType, Schema

from cloche.serving.host.answers.error_answers import InvalidCell
from cloche.serving.host.answers.mistake import describe_kind
from cloche.serving.host.parsing.older_mlflow import Array, Map, Object
from cloche.values import datetimes

_NOT_OF_JSON = (DataType.datetime, DataType.integer, DataType.float)
_MISSING = ("", "NaT")  # strings that numpy and pandas parse as a missing datetime
_ARRAYS = ("instances", "inputs")  # layouts that MLflow converts to numpy arrays
Slot = tuple[Any, Any]  # a list or dictionary in the payload, and the index or key of a cell in it


class JsonTypes:
    """The columns of a signature with values of types that JSON does not have.

    Attributes:
        needed: Whether there are such columns.
        nested: The positions of the columns with such values inside lists, objects or maps. MLflow
            must parse them without casts, else its enforcement refuses the result of its parsing.
    """

    def __init__(self, schema: Schema | None) -> None:
        """Store the inputs of the signature; None if MLflow parses payloads without it."""
        specs: Any = schema.inputs if schema is not None and not schema.is_tensor_spec() else []
        self._width = len(specs)
        self._columns: list[tuple[int, ColSpec]] = [
            (at, spec)
            for at, spec in enumerate(specs)
            if spec.type is DataType.datetime or _nests(spec.type)
        ]
        self.needed = bool(self._columns)
        self.nested = {at for at, spec in self._columns if spec.type is not DataType.datetime}

    def rewrite(self, layout: str, content: Any) -> None:
        """Replace such values in the content of a parsed payload, in place.

        Raises:
            InvalidCell: A cell is no datetime, but MLflow would convert it to one.
        """
        for at, spec in self._columns:
            _rewrite(spec, list(self._slots(content, spec.name, at)), strict=layout in _ARRAYS)

    def convert_table(self, data: Any) -> Any:
        """Convert the datetimes in a table to UTC; data other than tables is returned unchanged.

        Raises:
            InvalidCell: A string is no datetime.
        """
        if not self.needed or not isinstance(data, pd.DataFrame):
            return data
        columns = {name: data.iloc[:, at] for at, name in enumerate(data.columns)}
        for at, spec in self._columns:
            name = spec.name if spec.name is not None else [*columns, *[None] * self._width][at]
            if spec.type is not DataType.datetime or name not in columns:
                continue
            if (found := datetimes.parse_datetimes(columns[name])) is None:
                continue
            if found.unreadable.any():
                raise InvalidCell(name, int(found.unreadable.argmax()), spec.type, "text")
            columns[name] = found.values
        return pd.DataFrame(columns, index=data.index) if len(columns) == data.shape[1] else data

    def _slots(self, content: Any, name: Any, at: int) -> Iterator[Slot]:
        """Yield the slots of a column's cells, as far as the content has the expected form."""
        if isinstance(content, dict):
            split = isinstance(content.get("data"), list) and (name is None or name not in content)
            yield from (_split_slots if split else _column_slots)(content, name, at)
        elif isinstance(content, list):
            for row, cell in enumerate(content):
                if isinstance(cell, (dict, list)) and (name is None or isinstance(cell, dict)):
                    yield from _row_slots(cell, name, at)
                elif self._width == 1:
                    yield content, row


def _row_slots(row: Any, name: Any, at: int) -> Iterator[Slot]:
    keys = [*row] if isinstance(row, dict) else range(len(row))
    key = name if name is not None else keys[at] if at < len(keys) else None
    if key in keys:
        yield row, key


def _column_slots(content: dict[str, Any], name: Any, at: int) -> Iterator[Slot]:  # noqa: ARG001
    cells = content.get(name)
    if isinstance(cells, list):
        yield from ((cells, row) for row in range(len(cells)))
    elif name in content:
        yield content, name


def _split_slots(content: dict[str, Any], name: Any, at: int) -> Iterator[Slot]:
    names = content.get("columns")
    if isinstance(names, list) and name is not None:
        if name not in names:
            return
        at = names.index(name)
    yield from ((row, at) for row in content["data"] if isinstance(row, list) and at < len(row))


def _rewrite(spec: ColSpec, slots: Sequence[Slot], *, strict: bool) -> None:
    plain = spec.type is DataType.datetime
    cells = [holder[place] for holder, place in slots]
    texts = [text for cell in cells for text in _datetimes(cell, spec.type)]
    found = datetimes.parse_datetimes(pd.Series(texts, dtype=object))
    if found is None or (plain and not texts):
        return
    if found.unreadable.any():
        if strict or not plain:
            _refuse(spec, cells)
        return
    stamps = found.values.to_numpy()
    replaced: Iterator[Any] = iter(np.datetime_as_string(stamps).tolist() if plain else stamps)
    for (holder, place), cell in zip(slots, cells, strict=True):
        holder[place] = _convert_cell(cell, spec.type, replaced)


def _refuse(spec: ColSpec, cells: Sequence[Any]) -> None:
    """Refuse the first cell that is no datetime; strings for a missing datetime are accepted."""
    for row, cell in enumerate(cells):
        texts = [text for text in _datetimes(cell, spec.type) if text not in _MISSING]
        found = datetimes.parse_datetimes(pd.Series(texts, dtype=object))
        if found is not None and found.unreadable.any():
            raise InvalidCell(spec.name, row, spec.type, describe_kind(cell))


def _nests(kind: Any) -> bool:
    """Whether a list, an object or a map contains values of types that JSON does not have."""
    inner = []
    if isinstance(kind, Array):
        inner = [kind.dtype]
    elif isinstance(kind, Object):
        inner = [one.dtype for one in kind.properties]
    elif isinstance(kind, Map):
        inner = [kind.value_type]
    return any(one in _NOT_OF_JSON or _nests(one) for one in inner)


def _datetimes(cell: Any, kind: Any) -> Iterator[str]:
    """Yield the strings in a cell that are datetimes by the cell's type."""
    for inner, its in _members(cell, kind):
        yield from _datetimes(inner, its)
    if kind is DataType.datetime and isinstance(cell, str):
        yield cell


def _convert_cell(cell: Any, kind: Any, found: Iterator[Any]) -> Any:
    """Convert a cell to its type, with the next value of `found` for each datetime."""
    if kind is DataType.datetime:
        return next(found) if isinstance(cell, str) else cell
    if kind in _NOT_OF_JSON:
        return _to_32_bits(cell, kind)
    inner = [_convert_cell(one, its, found) for one, its in _members(cell, kind)]
    if isinstance(kind, Object) and isinstance(cell, dict):
        names = [one.name for one in kind.properties if one.name in cell]
        return cell | dict(zip(names, inner, strict=True))
    if isinstance(kind, Map) and isinstance(cell, dict):
        return dict(zip(cell, inner, strict=True))
    if isinstance(kind, Array) and isinstance(cell, list):
        typed = inner and kind.dtype in _NOT_OF_JSON
        whole = typed and all(isinstance(one, np.generic) for one in inner)
        return np.array(inner) if whole else inner
    return cell


def _to_32_bits(cell: Any, kind: DataType) -> Any:
    """Convert a number to 32 bits; a value out of range is left to MLflow, which refuses it."""
    whole = kind is DataType.integer
    if not (type(cell) is int or (type(cell) is float and not whole)):
        return cell
    limits: Any = np.iinfo(np.int32) if whole else np.finfo(np.float32)
    inside = limits.min <= cell <= limits.max or (type(cell) is float and not math.isfinite(cell))
    return kind.to_numpy().type(cell) if inside else cell


def _members(cell: Any, kind: Any) -> list[tuple[Any, Any]]:
    """Return the members of a cell, each with its type."""
    if isinstance(kind, Array) and isinstance(cell, list):
        return [(one, kind.dtype) for one in cell]
    if isinstance(kind, Object) and isinstance(cell, dict):
        return [(cell[one.name], one.dtype) for one in kind.properties if one.name in cell]
    if isinstance(kind, Map) and isinstance(cell, dict):
        return [(one, kind.value_type) for one in cell.values()]
    return []
