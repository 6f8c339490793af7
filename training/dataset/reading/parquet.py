"""Writes tables to Parquet files for another process or a run, and reads them.

A column of mappings whose keys differ between rows is stored as a map: in a struct, every row would
get the keys of all rows. A column that Parquet cannot store raises an error with its name.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cloche.training.errors import DataError


def write_parquet(frame: pd.DataFrame, path: Path, source: str) -> None:
    """Write (n rows) a table without its index.

    Raises:
        DataError: A column contains values that have no type in common.
    """
    maps: dict[str, Any] = {}
    problems = []
    for name, column in frame.items():
        try:
            if _is_of_maps(column):
                maps[str(name)] = _map_array(column)
            elif column.dtype == object:
                pa.array(column, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            kinds = ", ".join(sorted({type(value).__name__ for value in column.dropna()}))
            problems.append(
                f"{name}: holds values of different types ({kinds}), for which a table has no "
                "column; give it one type"
            )
    if problems:
        raise DataError(source, problems)
    (frame.assign(**dict.fromkeys(maps)) if maps else frame).to_parquet(path, index=False)
    if maps:
        table = pq.read_table(path)
        for name, array in maps.items():
            table = table.set_column(table.column_names.index(name), name, array)
        pq.write_table(table, path)


def read_parquet(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table; maps become dictionaries, as models take them, not lists of pairs.

    Decimals become numbers, as `cloche score` gives them to models.

    Raises:
        Exception: The file is no Parquet file; pandas and pyarrow raise various types.
    """
    frame = pd.read_parquet(path, **options)
    for field in pq.read_schema(path):
        if pa.types.is_map(field.type) and field.name in frame:
            frame[field.name] = frame[field.name].map(dict, na_action="ignore")
        elif pa.types.is_decimal(field.type) and field.name in frame:
            column, kind = frame[field.name], field.type
            whole = kind.scale == 0 and kind.precision < 19 and not column.hasnans  # 64 bits
            frame[field.name] = column.astype(np.int64 if whole else np.float64)
    return frame


def _is_of_maps(column: pd.Series) -> bool:
    """Return whether a column contains mappings whose keys differ from row to row."""
    if column.dtype != object:
        return False
    known = column.dropna()
    if not len(known) or not known.map(lambda value: isinstance(value, dict)).all():
        return False
    return len({frozenset(value) for value in known}) > 1


def _map_array(column: pd.Series) -> Any:
    known = column.dropna()
    values = pa.array([one for value in known for one in value.values()])
    pairs = [None if value is None else list(value.items()) for value in _cells(column)]
    return pa.array(pairs, pa.map_(pa.string(), values.type))


def _cells(column: pd.Series) -> list[Any]:
    return column.astype(object).where(column.notna(), None).tolist()
