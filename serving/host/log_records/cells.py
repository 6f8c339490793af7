"""Columns of a host's tables in the form of the prediction log's records.

A column is a numpy array of numbers or datetimes, or a list of cells: texts, numbers, truth values,
None. Cells of other types are logged as JSON text.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cloche.serving.host.predictors.prediction_writer import BARE, ModelPredictions, encode
from cloche.serving.spool.segment import array_cells

_PLAIN = frozenset({str, int, float, bool, type(None)})
_ARRAYS = "iufbM"  # kinds of numpy types
_INT64 = 2**63

Hash = Callable[[Any], str | None]


def columns_of(table: Any, rows: int, *, outputs: bool = False) -> Mapping[str, Any]:
    """The columns of what a model got or returned, by name; `BARE` without names.

    Args:
        table: A data frame, arrays, or any other value.
        rows: The number of rows that the request has.
        outputs: Whether it is what the model returned.
    """
    if outputs:
        columns = ModelPredictions(table, rows).columns(0, rows)
    elif isinstance(table, pd.DataFrame | dict):
        columns = {str(name): cells for name, cells in table.items()}
    else:
        columns = {BARE: table}
    return {name: _fitted(cells, rows) for name, cells in columns.items()}


def packed(
    cells: Any, *, spans: Sequence[tuple[int, int]] | None, hashed: Hash | None = None
) -> Any:
    """A column in the form of a record.

    Args:
        cells: The column.
        spans: The beginnings and ends of the rows that are kept; None for all.
        hashed: Hashes a cell; None if the cells are kept as they are.
    """
    if isinstance(cells, pd.Series):
        cells = cells.to_numpy()
    if not isinstance(cells, np.ndarray):
        if spans is not None:
            cells = [cell for start, end in spans for cell in cells[start:end]]
    elif spans is not None:
        cells = np.concatenate([cells[start:end] for start, end in spans])
    if hashed is not None:
        return list(map(hashed, texts(cells)))
    if isinstance(cells, np.ndarray):
        if cells.dtype.kind in _ARRAYS and len(cells) and cells.dtype.itemsize <= 8:
            return array_cells(cells.dtype.str, np.ascontiguousarray(cells).tobytes())
        cells = cells.tolist()
    return cells if _PLAIN.issuperset(map(type, cells)) else list(map(_plain, cells))


def texts(cells: Iterable[Any]) -> list[str | None]:
    """Cells as texts; None for missing ones."""
    if isinstance(cells, np.ndarray | pd.Series):
        cells = cells.tolist()
    return [cell if type(cell) is str else _text(cell) for cell in cells]


def _text(cell: Any) -> str | None:
    missing = cell is None or cell is pd.NA or cell is pd.NaT or cell != cell  # noqa: PLR0124
    return None if missing is True else str(cell)


def _plain(cell: Any) -> Any:  # noqa: PLR0911  # one for each type
    """A cell as msgpack has it; a JSON text of one that has no such form."""
    kind = type(cell)
    if kind is int and not -_INT64 <= cell < _INT64:
        return str(cell)
    if kind in _PLAIN:
        return cell
    if cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, np.generic):
        return _plain(cell.item())
    if isinstance(cell, datetime.datetime | datetime.date):
        return cell.isoformat()
    try:
        return encode(cell)
    except (TypeError, ValueError):
        return str(cell)


def _fitted(cells: Any, rows: int) -> Any:
    """A column with a cell for each row; of other values all in the first row."""
    if hasattr(cells, "toarray"):  # a sparse matrix
        cells = cells.toarray()
    sized = isinstance(cells, pd.Series | list | tuple) or getattr(cells, "ndim", 0) > 0
    if sized and not isinstance(cells, pd.DataFrame) and len(cells) == rows:
        return cells
    if isinstance(cells, pd.DataFrame):
        cells = cells.to_dict("records")
    return [_plain(cells), *[None] * (rows - 1)]
