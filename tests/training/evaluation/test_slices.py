"""Slices: every value of a column, the rows without one, and no column of identifiers."""

import pandas as pd
import pytest

from cloche.training.errors import DataError
from cloche.training.evaluation.metrics import score_all
from cloche.training.evaluation.slices import slices


def test_each_value_is_scored_on_its_own_rows_and_the_largest_slice_comes_first(binary_pairs):
    pairs = binary_pairs(rows=90)
    airport = pd.Series((["JFK"] * 2 + ["EWR"]) * 30, name="origin", index=range(1000, 1090))
    parts = slices(airport, pairs, ["roc_auc", "accuracy"])
    assert [(part.column, part.value, part.rows) for part in parts] == [
        ("origin", "JFK", 60),
        ("origin", "EWR", 30),
    ]
    for part in parts:
        rows = (airport == part.value).to_numpy()
        assert part.scores == score_all(["roc_auc", "accuracy"], pairs.take(rows))


def test_rows_without_a_value_are_a_slice_of_their_own(binary_pairs):
    column = pd.Series([1.0, None, 1.0, None, 2.0], name="stops")
    parts = slices(column, binary_pairs(rows=5), ["accuracy"])
    assert {part.value: part.rows for part in parts} == {"1": 2, "(missing)": 2, "2": 1}


def test_a_column_that_names_rows_is_not_a_slice(binary_pairs):
    column = pd.Series(range(1_001), name="ticket")
    pairs = binary_pairs(rows=1_001)
    with pytest.raises(DataError, match="1001 different values are too many for slices") as refusal:
        slices(column, pairs, ["accuracy"])
    assert "slice by another column, or by ranges of this one" in str(refusal.value)
    assert len(slices(pd.cut(column, 4).astype("str"), pairs, ["accuracy"])) == 4
