"""What single days of the training rows are like is measured as a batch job measures a day."""

import numpy as np
import pandas as pd
import pytest

from cloche.drift.judgement import distance
from cloche.training.packaging.period_baselines import (
    MIN_PERIODS,
    MIN_ROWS,
    difference_quantiles,
    number_periods,
    period_sizes,
)
from cloche.training.packaging.profile import numeric_distribution


def days(count: int, rows: int = MIN_ROWS) -> "pd.Series[pd.Timestamp]":
    return pd.Series(np.repeat(pd.date_range("2024-01-01", periods=count), rows))


def test_units_with_too_few_pieces_are_left_out():
    assert period_sizes(number_periods(days(MIN_PERIODS))) == {
        "day": {"count": MIN_PERIODS, "rows": MIN_ROWS}
    }
    assert number_periods(days(MIN_PERIODS - 1)) == {}


def test_days_with_few_rows_and_rows_without_a_time_belong_to_no_piece():
    when = pd.concat([days(MIN_PERIODS), days(1, rows=3) + pd.Timedelta(days=100)])
    when = pd.concat([when, pd.Series([pd.NaT])], ignore_index=True)

    numbers = number_periods(when)["day"]

    assert numbers[-4:].tolist() == [-1] * 4
    assert set(numbers[:-4]) == set(range(MIN_PERIODS))


def test_the_largest_difference_is_the_one_that_a_batch_job_would_find():
    values = pd.Series(np.random.default_rng(0).normal(size=MIN_PERIODS * MIN_ROWS))
    values.iloc[:MIN_ROWS] += 2.0
    values.iloc[3] = np.nan
    described = numeric_distribution(values)

    found = difference_quantiles(values, described, number_periods(days(MIN_PERIODS)))["day"]

    edges = described["edges"]
    day, rest = (np.histogram(part.dropna(), edges)[0].tolist()
                 for part in (values[:MIN_ROWS], values[MIN_ROWS:]))  # fmt: skip
    assert found["psi"]["1.0"] == pytest.approx(distance([*rest, 0], [*day, 1]).psi, rel=1e-3)
    assert found["missing"]["1.0"] == pytest.approx(1 / MIN_ROWS)


def test_outside_is_what_no_other_day_had():
    values = pd.Series(np.tile(np.arange(MIN_ROWS, dtype=float), MIN_PERIODS))
    values.iloc[:5] = 1000.0
    towns = pd.Series(["here"] * len(values), dtype=object)
    towns.iloc[:10] = "there"
    parts = number_periods(days(MIN_PERIODS))

    numbers = difference_quantiles(values, numeric_distribution(values), parts)["day"]["outside"]
    words = difference_quantiles(towns, {"counts": {"here": 1, "there": 1}}, parts)["day"][
        "outside"
    ]

    assert numbers["1.0"] == 5 / MIN_ROWS
    assert words["1.0"] == 10 / MIN_ROWS
    assert numbers["0.5"] == words["0.5"] == 0.0
