"""Datetimes as a signature has them: moments in UTC, without a zone.

MLflow's datetime has no zone, and its enforcement refuses a column that has one. A moment with a
zone or an offset is therefore converted to UTC, and one without counts as UTC. Training, the
server and batch jobs read columns by this module, so that they cannot differ.
"""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

_FIRST, _LAST = pd.Timestamp.min, pd.Timestamp.max  # what 64 bits of nanoseconds hold
_CAPITALS = str.maketrans("tz", "TZ")


class Moments(NamedTuple):
    """A column of datetimes that was read.

    Attributes:
        values: The moments in UTC, without a zone; missing where the cell is missing or unreadable.
        unreadable: Whether a cell is there, and is no moment between the years 1678 and 2261.
    """

    values: "pd.Series[pd.Timestamp]"
    unreadable: npt.NDArray[np.bool_]


def read(values: pd.Series) -> Moments | None:
    """The moments in a column of datetimes, of dates, or of texts in ISO 8601.

    None for a column of anything else, like numbers.
    """
    if not _may_be_moments(values):
        return None
    moments: Any = values
    if values.dtype.kind != "M":
        moments = _from_texts(values)
    if moments.dt.tz is not None:
        moments = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    inside = (moments >= _FIRST) & (moments <= _LAST)
    unreadable = (values.notna() & ~inside).to_numpy(np.bool_)
    return Moments(moments.where(inside).dt.as_unit("ns"), unreadable)


def _from_texts(values: pd.Series) -> Any:
    """Moments in UTC; missing where there is none."""
    moments = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    refused = moments.isna() & values.notna()
    if not refused.any():
        return moments
    # RFC 3339 allows a small t and z, of which pandas reads the capitals only
    cells = values.to_numpy(dtype=object, copy=True)
    wrong = refused.to_numpy(np.bool_)
    written = [one.translate(_CAPITALS) if isinstance(one, str) else one for one in cells[wrong]]
    if written == list(cells[wrong]):
        return moments
    cells[wrong] = written
    again = pd.Series(cells, values.index, dtype=object)
    return pd.to_datetime(again, format="ISO8601", utc=True, errors="coerce")


def _may_be_moments(values: pd.Series) -> bool:
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.StringDtype):
        return True
    if values.dtype != object:
        return False
    return all(
        isinstance(cell, (str, date)) or (pd.api.types.is_scalar(cell) and pd.isna(cell))
        for cell in values
    )
