"""Reads the datetimes of a request in UTC, whichever layout and form they come in.

MLflow reads a text with a zone as a column with one, and then refuses it; of two forms in one
column it reads one; and where the layout becomes a numpy array, a year beyond its range becomes
another year without a word. Texts in ISO 8601 are therefore replaced, before MLflow reads them, by
the same moments in one form. Other texts, and numbers, are left to MLflow.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Map, Object

from cloche import moments
from cloche.serving.host.failures import Unfit

_MISSING = ("", "NaT")  # as numpy and pandas read them
_ARRAYS = ("instances", "inputs")  # layouts of which MLflow makes numpy arrays
Slot = tuple[Any, Any]  # a list or dictionary of the payload, and the place of a cell in it


class Datetimes:
    """The columns of a signature that hold datetimes.

    Attributes:
        needed: Whether there are any.
        nested: The places of those whose lists or objects hold them. MLflow's parsing makes of
            such datetimes what its enforcement then refuses, so they are to be parsed as they are.
    """

    def __init__(self, schema: Schema | None) -> None:
        """Take the inputs of the signature; None where MLflow reads by no signature."""
        specs: Any = schema.inputs if schema is not None and not schema.is_tensor_spec() else []
        self._width = len(specs)
        self._columns: list[tuple[int, ColSpec]] = [
            (at, spec) for at, spec in enumerate(specs) if _holds_datetimes(spec.type)
        ]
        self.needed = bool(self._columns)
        self.nested = {at for at, spec in self._columns if spec.type is not DataType.datetime}

    def rewrite(self, layout: str, content: Any) -> None:
        """Replace the datetimes in the content of a parsed payload, in place.

        Raises:
            Unfit: A cell is no datetime, and MLflow would make one of it.
        """
        for at, spec in self._columns:
            _rewrite(spec, list(self._slots(content, spec.name, at)), strict=layout in _ARRAYS)

    def of_table(self, data: Any) -> Any:
        """The same table with datetimes in UTC; whatever is no table stays as it is.

        Raises:
            Unfit: A text is no datetime.
        """
        if not self.needed or not isinstance(data, pd.DataFrame):
            return data
        columns = {name: data.iloc[:, at] for at, name in enumerate(data.columns)}
        for at, spec in self._columns:
            name = spec.name if spec.name is not None else [*columns, *[None] * self._width][at]
            if spec.type is not DataType.datetime or name not in columns:
                continue
            if (found := moments.read(columns[name])) is None:
                continue
            if found.unreadable.any():
                raise Unfit(name, int(found.unreadable.argmax()), spec.type)
            columns[name] = found.values
        return pd.DataFrame(columns, index=data.index) if len(columns) == data.shape[1] else data

    def _slots(self, content: Any, name: Any, at: int) -> Iterator[Slot]:
        """The places of the cells of a column, as far as they can be told."""
        if isinstance(content, dict):
            split = isinstance(content.get("data"), list) and (name is None or name not in content)
            yield from (_of_split if split else _of_columns)(content, name, at)
        elif isinstance(content, list):
            for row, cell in enumerate(content):
                if isinstance(cell, (dict, list)) and (name is None or isinstance(cell, dict)):
                    yield from _of_row(cell, name, at)
                elif self._width == 1:
                    yield content, row


def _of_row(row: Any, name: Any, at: int) -> Iterator[Slot]:
    keys = [*row] if isinstance(row, dict) else range(len(row))
    key = name if name is not None else keys[at] if at < len(keys) else None
    if key in keys:
        yield row, key


def _of_columns(content: dict[str, Any], name: Any, at: int) -> Iterator[Slot]:  # noqa: ARG001
    cells = content.get(name)
    if isinstance(cells, list):
        yield from ((cells, row) for row in range(len(cells)))
    elif name in content:
        yield content, name


def _of_split(content: dict[str, Any], name: Any, at: int) -> Iterator[Slot]:
    names = content.get("columns")
    if isinstance(names, list) and name is not None:
        if name not in names:
            return
        at = names.index(name)
    yield from ((row, at) for row in content["data"] if isinstance(row, list) and at < len(row))


def _rewrite(spec: ColSpec, slots: Sequence[Slot], *, strict: bool) -> None:
    plain = spec.type is DataType.datetime
    cells = [holder[place] for holder, place in slots]
    leaves = [leaf for cell in cells for leaf in _leaves(cell, spec.type)]
    found = moments.read(pd.Series(leaves, dtype=object)) if leaves else None
    if found is None:
        return
    if found.unreadable.any():
        if strict or not plain:
            _refuse(spec, cells)
        return
    stamps = found.values.to_numpy()
    replaced: Iterator[Any] = iter(np.datetime_as_string(stamps).tolist() if plain else stamps)
    for (holder, place), cell in zip(slots, cells, strict=True):
        holder[place] = _replaced(cell, spec.type, replaced)


def _refuse(spec: ColSpec, cells: Sequence[Any]) -> None:
    """Refuse the first cell that holds no datetime; texts that mean a missing one are none such."""
    for row, cell in enumerate(cells):
        leaves = [leaf for leaf in _leaves(cell, spec.type) if leaf not in _MISSING]
        found = moments.read(pd.Series(leaves, dtype=object))
        if found is not None and found.unreadable.any():
            raise Unfit(spec.name, row, spec.type)


def _holds_datetimes(kind: Any) -> bool:
    if isinstance(kind, Array):
        return _holds_datetimes(kind.dtype)
    if isinstance(kind, Object):
        return any(_holds_datetimes(one.dtype) for one in kind.properties)
    if isinstance(kind, Map):
        return _holds_datetimes(kind.value_type)
    return kind is DataType.datetime


def _leaves(cell: Any, kind: Any) -> Iterator[str]:
    """The texts in a cell that are datetimes by its type."""
    for inner, its in _members(cell, kind):
        yield from _leaves(inner, its)
    if kind is DataType.datetime and isinstance(cell, str):
        yield cell


def _replaced(cell: Any, kind: Any, found: Iterator[Any]) -> Any:
    """The same cell with the next of `found` for each of its `_leaves`."""
    if kind is DataType.datetime:
        return next(found) if isinstance(cell, str) else cell
    inner = [_replaced(one, its, found) for one, its in _members(cell, kind)]
    if isinstance(cell, dict) and inner:
        names = (
            [one.name for one in kind.properties if one.name in cell]
            if isinstance(kind, Object)
            else [*cell]
        )
        return cell | dict(zip(names, inner, strict=True))
    if isinstance(cell, list) and isinstance(kind, Array):
        return np.array(inner) if kind.dtype is DataType.datetime else inner
    return cell


def _members(cell: Any, kind: Any) -> list[tuple[Any, Any]]:
    """What a cell consists of, each with its type."""
    if isinstance(kind, Array) and isinstance(cell, list):
        return [(one, kind.dtype) for one in cell]
    if isinstance(kind, Object) and isinstance(cell, dict):
        return [(cell[one.name], one.dtype) for one in kind.properties if one.name in cell]
    if isinstance(kind, Map) and isinstance(cell, dict):
        return [(one, kind.value_type) for one in cell.values()]
    return []
