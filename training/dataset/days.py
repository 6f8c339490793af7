"""Columns that tell when, and the rows of a stretch of days."""

import warnings
from datetime import date, timedelta

import pandas as pd


def times(frame: pd.DataFrame, column: str) -> "pd.Series[pd.Timestamp]":
    """A column as times on the clock of its own time zone, missing where there is none.

    Raises:
        ValueError: a value is no time.
    """
    values = frame[column]
    if pd.api.types.is_numeric_dtype(values):
        # pandas would take numbers for nanoseconds since 1970, which nobody means.
        raise ValueError("holds numbers, not times")
    try:
        parsed = pd.to_datetime(values, format="ISO8601")
    except ValueError:
        with warnings.catch_warnings():
            # A form that pandas must guess for each value anew is not one to trust.
            warnings.simplefilter("error")
            parsed = pd.to_datetime(values)
    return parsed.dt.tz_localize(None)


def within(when: "pd.Series[pd.Timestamp]", first: date, last: date) -> "pd.Series[bool]":
    """Which times fall on the days from `first` to `last`, both inclusive."""
    return (when >= pd.Timestamp(first)) & (when < pd.Timestamp(last + timedelta(days=1)))
