"""Splits that lose no row, double none, and come out the same every time."""

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloche.training.dataset.split import split, validation_split
from cloche.training.errors import DataError

SEARCH = {"validation": 0.3, "space": {"C": [1, 2]}}
SPLITS = {
    "fraction": {"by": "fraction", "holdout": 0.3},
    "unstratified": {"by": "fraction", "holdout": 0.3, "stratify": False},
    "group": {"by": "group", "column": "household", "holdout": 0.3},
    "time": {
        "by": "time", "column": "day", "train": ["2020-01-01", "2020-04-30"],
        "holdout": ["2020-05-01", "2020-12-31"],
    },
}  # fmt: skip

with_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_fixtures
@given(st.sampled_from(sorted(SPLITS)), st.integers(0, 2**32 - 1), st.integers(60, 200))
def test_no_row_is_lost_or_doubled(frame, make_recipe, by, seed, rows):
    frame = frame.head(rows)
    recipe = make_recipe(split=SPLITS[by], seed=seed, search=SEARCH)
    if by == "time" and rows < 125:
        frame = frame.assign(day=pd.date_range("2020-04-01", periods=rows))
    sides = split(frame, recipe)
    assert sorted([*sides.train.index, *sides.holdout.index]) == list(frame.index)
    pd.testing.assert_frame_equal(pd.concat([sides.train, sides.holdout]).sort_index(), frame)
    parts = validation_split(sides.train, recipe)
    assert sorted([*parts.train.index, *parts.holdout.index]) == sorted(sides.train.index)
    assert len(parts.train)
    assert len(parts.holdout)


@with_fixtures
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_no_group_is_on_both_sides(frame, make_recipe, seed, share):
    recipe = make_recipe(
        split={"by": "group", "column": "household", "holdout": share}, seed=seed, search=SEARCH
    )
    sides = split(frame, recipe)
    assert not set(sides.train["household"]) & set(sides.holdout["household"])
    held = sides.holdout["household"].nunique() / frame["household"].nunique()
    assert held == pytest.approx(share, abs=0.05)
    if sides.train["household"].nunique() > 1:
        parts = validation_split(sides.train, recipe)
        assert not set(parts.train["household"]) & set(parts.holdout["household"])


@pytest.mark.parametrize("by", ["fraction", "unstratified", "group"])
def test_the_seed_alone_decides(frame, make_recipe, by):
    recipe = make_recipe(split=SPLITS[by], seed=5)
    first = split(frame, recipe)
    random.seed(99)
    np.random.seed(99)
    again = split(frame, recipe)
    other = split(frame, make_recipe(split=SPLITS[by], seed=6))
    pd.testing.assert_frame_equal(first.holdout, again.holdout)
    assert list(first.holdout.index) != list(other.holdout.index)


def test_a_stratified_split_keeps_the_shares_of_the_classes(frame, make_recipe):
    frame = frame.assign(churned=[1] * 20 + [0] * 180)
    sides = split(frame, make_recipe())
    assert sides.holdout["churned"].mean() == pytest.approx(0.1)
    assert sides.train["churned"].mean() == pytest.approx(0.1)


def test_both_days_of_a_stretch_are_in_it_and_the_rest_is_left_out(frame, make_recipe):
    moments = ["2020-01-01 00:00", "2020-01-02 23:59:59", "2020-01-03 00:00", "2020-01-05 12:00"]
    frame = frame.head(4).assign(day=moments)
    by = {"train": ["2020-01-01", "2020-01-02"], "holdout": ["2020-01-05", "2020-01-05"]}
    sides = split(frame, make_recipe(split={"by": "time", "column": "day", **by}))
    assert list(sides.train.index) == [0, 1]
    assert list(sides.holdout.index) == [3]


def test_days_are_those_of_utc(frame, make_recipe):
    day = pd.to_datetime(["2020-01-02 08:30", "2020-01-02 09:30"]).tz_localize("Asia/Seoul")
    by = {"train": ["2020-01-01", "2020-01-01"], "holdout": ["2020-01-02", "2020-01-02"]}
    recipe = make_recipe(split={"by": "time", "column": "day", **by})
    sides = split(frame.head(2).assign(day=day), recipe)
    assert list(sides.train.index) == [0]


def test_a_search_is_judged_on_the_latest_rows(frame, make_recipe):
    recipe = make_recipe(split=SPLITS["time"], search=SEARCH)
    shuffled = split(frame, recipe).train.sample(frac=1, random_state=0)
    parts = validation_split(shuffled, recipe)
    assert parts.train["day"].max() < parts.holdout["day"].min()
    assert len(parts.holdout) / len(shuffled) == pytest.approx(0.3, abs=0.01)


def test_rows_of_one_moment_stay_together_in_a_search(frame, make_recipe):
    train = frame.head(100).assign(day=["2020-01-01"] * 90 + ["2020-01-02"] * 10)
    recipe = make_recipe(split=SPLITS["time"], search=SEARCH)
    assert set(validation_split(train, recipe).holdout["day"]) == {"2020-01-02"}


def test_a_search_without_an_earlier_part_is_refused(frame, make_recipe):
    recipe = make_recipe(split=SPLITS["time"], search=SEARCH)
    with pytest.raises(DataError, match="an earlier and a later part"):
        validation_split(frame.assign(day="2020-01-01"), recipe)


def test_rows_without_a_group_are_one_group_together(frame, make_recipe):
    frame = frame.assign(household=frame["household"].where(frame.index < 150))
    sides = split(frame, make_recipe(split=SPLITS["group"]))
    assert (
        len({sides.train["household"].isna().any(), sides.holdout["household"].isna().any()}) == 2
    )


def test_a_label_of_one_row_is_learned_where_there_are_more_labels(frame, make_recipe):
    frame = frame.assign(churned=["rare", *["a", "b", "c"] * 66, "c"])
    sides = split(frame, make_recipe(task="multiclass"))
    assert 0 in sides.train.index
    assert len(sides.train) + len(sides.holdout) == 200
