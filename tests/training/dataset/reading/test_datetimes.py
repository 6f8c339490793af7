"""Columns that tell when."""

from datetime import date

import pandas as pd
import pytest

from cloche.training.dataset.reading.datetimes import parse_times, within


@pytest.mark.parametrize(
    "values",
    [
        ["2020-01-31", "2020-02-01"],
        ["2020-01-31 00:00:00", "2020-02-01"],
        ["2020-01-31T09:00:00+09:00", "2020-01-31T16:00:00-08:00"],
        ["2020-01-31T00:00:00Z", "2020-02-01"],
        ["01/31/2020", "02/01/2020"],
        [date(2020, 1, 31), date(2020, 2, 1)],
        pd.to_datetime(["2020-01-31", "2020-02-01"]),
        pd.to_datetime(["2020-01-31 09:00", "2020-02-01 09:00"]).tz_localize("Asia/Seoul"),
    ],
)
def test_times_of_every_form_are_read_in_utc(values):
    when = parse_times(pd.DataFrame({"when": values}), "when")
    assert list(when) == [pd.Timestamp("2020-01-31"), pd.Timestamp("2020-02-01")]


@pytest.mark.parametrize(
    "values", [[1, 2], ["soon", "later"], ["2020-01-31", "soon"], ["9999-12-31"]]
)
def test_what_is_no_time_is_refused(values):
    with pytest.raises((ValueError, UserWarning)):
        parse_times(pd.DataFrame({"when": values}), "when")


def test_a_missing_time_stays_missing_and_is_within_no_days():
    when = parse_times(pd.DataFrame({"when": ["2020-01-31", None]}), "when")
    assert list(within(when, date(2020, 1, 1), date(2020, 1, 31))) == [True, False]
