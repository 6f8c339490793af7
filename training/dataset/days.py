"""Columns that tell when, and the rows of a stretch of days."""

import warnings
from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd


def times(frame: pd.DataFrame, column: str) -> "pd.Series[pd.Timestamp]":
    """A column as times on the clock of its own time zone, missing where there is none.

    Raises:
        ValueError: a value is no time.
    """
    return _parsed(frame[column]).dt.tz_localize(None)


def zoned(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the time columns whose times have a time zone."""
    return [name for name in columns if _parsed(frame[name]).dt.tz is not None]


def _parsed(values: pd.Series) -> "pd.Series[pd.Timestamp]":
    if pd.api.types.is_numeric_dtype(values):
        # pandas would take numbers for nanoseconds since 1970, which nobody means.
        raise ValueError("holds numbers, not times")
    try:
        return pd.to_datetime(values, format="ISO8601")
    except ValueError:
        with warnings.catch_warnings():
            # A form that pandas must guess for each value anew is not one to trust.
            warnings.simplefilter("error")
            return pd.to_datetime(values)


def within(when: "pd.Series[pd.Timestamp]", first: date, last: date) -> "pd.Series[bool]":
    """Which times fall on the days from `first` to `last`, both inclusive."""
    return (when >= pd.Timestamp(first)) & (when < pd.Timestamp(last + timedelta(days=1)))
