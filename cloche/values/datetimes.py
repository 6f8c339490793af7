"""Conversion of datetime columns to the type of a signature: UTC, without a time zone.

MLflow's datetime has no time zone, and its enforcement refuses a column that has one. A datetime
with a zone or an offset is therefore converted to UTC, and one without counts as UTC. Training, the
server and batch jobs all use this module, so that they cannot differ.
"""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

_FIRST, _LAST = pd.Timestamp.min, pd.Timestamp.max  # the range of 64 bits of nanoseconds
_CAPITALS = str.maketrans("tz", "TZ")


class ParsedDatetimes(NamedTuple):
    """A parsed column of datetimes.

    Attributes:
        values: The datetimes in UTC, without a zone; missing if the cell is missing or unreadable.
        unreadable: For each cell, whether it is present but no datetime from 1678 to 2261.
    """

    values: "pd.Series[pd.Timestamp]"
    unreadable: npt.NDArray[np.bool_]


def parse_datetimes(values: pd.Series) -> ParsedDatetimes | None:
    """Parse a column of datetimes, of dates, or of strings in ISO 8601; None for other values."""
    if not _may_be_datetimes(values):
        return None
    moments: Any = values
    if values.dtype.kind != "M":
        moments = _from_texts(values)
    if moments.dt.tz is not None:
        moments = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    inside = (moments >= _FIRST) & (moments <= _LAST)
    unreadable = (values.notna() & ~inside).to_numpy(np.bool_)
    return ParsedDatetimes(moments.where(inside).dt.as_unit("ns"), unreadable)


def _from_texts(values: pd.Series) -> Any:
    """Parse datetimes in UTC; a cell that is no datetime becomes missing."""
    moments = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    refused = moments.isna() & values.notna()
    if not refused.any():
        return moments
    # RFC 3339 allows a lowercase t and z, but pandas parses only T and Z.
    cells = values.to_numpy(dtype=object, copy=True)
    wrong = refused.to_numpy(np.bool_)
    written = [one.translate(_CAPITALS) if isinstance(one, str) else one for one in cells[wrong]]
    if written == list(cells[wrong]):
        return moments
    cells[wrong] = written
    again = pd.Series(cells, values.index, dtype=object)
    return pd.to_datetime(again, format="ISO8601", utc=True, errors="coerce")


def _may_be_datetimes(values: pd.Series) -> bool:
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.StringDtype):
        return True
    if values.dtype != object:
        return False
    return all(
        isinstance(cell, (str, date)) or (pd.api.types.is_scalar(cell) and pd.isna(cell))
        for cell in values
    )
