"""Reads columns of times, and selects the rows of a range of days."""

import warnings
from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd

from cloche.training.dataset.reading.formatted_values import formatted_note, kinds_of
from cloche.values import datetimes

_ZONE = r"\d[T ]\d\d.*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"


def parse_times(frame: pd.DataFrame, column: str) -> "pd.Series[pd.Timestamp]":
    """Return a column as times in UTC, NaT if missing; times without a zone count as UTC.

    Raises:
        ValueError: A value is not a time.
    """
    values = frame[column]
    if pd.api.types.is_numeric_dtype(values):
        # pandas would read numbers as nanoseconds since 1970, which is never meant.
        raise ValueError("holds numbers, not times")
    found = datetimes.parse_datetimes(values)
    if found is None or found.unreadable.any():
        with warnings.catch_warnings(record=True) as doubts:
            # pandas warns if it has to guess the format of each value, or takes the first number
            # for the day because of the first value alone: such a guess is unreliable.
            warnings.simplefilter("always")
            found = datetimes.parse_datetimes(pd.to_datetime(values))
        if doubts:
            raise ValueError(str(doubts[0].message))
    if found is None or found.unreadable.any():
        raise ValueError("holds what is no time between the years 1678 and 2261")
    return found.values


def unreadable_times(values: pd.Series) -> str | None:
    """Return why a column cannot be read as times, as a clause with the fix; None if it can."""
    try:
        parse_times(values.to_frame("value"), "value")
    except (ValueError, TypeError, AttributeError):
        read = datetimes.parse_datetimes(values)
        held = f"holds {kinds_of(values)}"
        if read is not None and (wrong := int(read.unreadable.sum())):
            held = f"{wrong:,} of {values.count():,} values are no times of the years 1678 to 2261"
        return formatted_note(values) or f"{held}; write times as 2013-08-31"
    return None


def columns_with_zone(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the time columns in which at least one time has a zone or an offset."""
    return [name for name in columns if _has_zone(frame[name])]


def _has_zone(values: pd.Series) -> bool:
    if values.dtype.kind == "M":
        return isinstance(values.dtype, pd.DatetimeTZDtype)
    return bool(values.dropna().astype("str").str.contains(_ZONE).any())


def within(when: "pd.Series[pd.Timestamp]", first: date, last: date) -> "pd.Series[bool]":
    """Return which times fall on the days from `first` to `last`, both inclusive."""
    return (when >= pd.Timestamp(first)) & (when < pd.Timestamp(last + timedelta(days=1)))
