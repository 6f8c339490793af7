"""Rows of a sample by day, with and without the answer."""

from datetime import date

import pandas as pd
import pytest

from cloche.training.dataset.samples import catalog
from cloche.training.dataset.samples.catalog import Sample, sample_rows
from cloche.training.errors import DataError

VISITS = pd.DataFrame(
    {"day": pd.date_range("2020-01-01", periods=5, freq="12h"), "pages": range(5), "bought": 1}
)


@pytest.fixture(autouse=True)
def visits(monkeypatch):
    samples = {
        "visits": Sample(VISITS.copy, "visits to a shop", target="bought", time="day"),
        "timeless": Sample(VISITS.copy, "the same without times", target="bought"),
    }
    monkeypatch.setattr(catalog, "SAMPLES", samples)


def test_all_rows_come_with_the_answer_by_default():
    pd.testing.assert_frame_equal(sample_rows("visits"), VISITS)


def test_days_are_inclusive_and_either_end_may_be_open():
    second = date(2020, 1, 2)
    assert sample_rows("visits", first=second, last=second)["pages"].tolist() == [2, 3]
    assert sample_rows("visits", first=second)["pages"].tolist() == [2, 3, 4]
    assert sample_rows("visits", last=second)["pages"].tolist() == [0, 1, 2, 3]


def test_the_answer_can_be_left_out():
    assert list(sample_rows("visits", with_target=False)) == ["day", "pages"]


def test_days_without_rows_are_refused_with_the_days_there_are():
    with pytest.raises(DataError, match="it covers 2020-01-01 to 2020-01-03"):
        sample_rows("visits", first=date(2021, 1, 1))


def test_a_sample_without_times_has_no_days():
    with pytest.raises(DataError, match="its rows have no times"):
        sample_rows("timeless", first=date(2020, 1, 1))


def test_an_unknown_sample_is_named_with_the_nearest():
    with pytest.raises(DataError, match="did you mean 'visits'"):
        sample_rows("visit")
