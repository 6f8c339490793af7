"""The test behind "drifted" is scipy's, without the half second that its import takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from cloche.drift.judgement import chance, distance, judge

counts = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=9)


@given(counts)
def test_the_p_value_is_that_of_scipy(pairs):
    before, after = zip(*pairs, strict=True)
    found = distance(before, after)
    assert found.p_value == pytest.approx(chi2_contingency(np.array([before, after])).pvalue)


USUAL = {"psi": {"0.5": 0.5, "0.95": 1.0, "0.99": 1.5, "1.0": 2.0}}
NO_CHANCE = {"psi": 0.0}


@pytest.mark.parametrize(
    ("value", "verdict"), [(1.4, "stable"), (1.6, "shifted"), (2.1, "shifted"), (2.3, "drifted")]
)
def test_a_measure_is_judged_by_what_was_usual(value, verdict):
    (judged,) = judge({"psi": value}, USUAL, comparisons=1, chance=NO_CHANCE)
    assert judged.verdict == verdict


def test_where_more_is_looked_at_more_is_asked_of_each_look():
    few, many = (
        judge({"psi": 2.3}, USUAL, comparisons=comparisons, chance=NO_CHANCE)[0]
        for comparisons in (1, 100)
    )
    assert (few.verdict, many.verdict) == ("drifted", "shifted")


def test_a_batch_as_large_as_the_pieces_gets_no_allowance():
    assert set(chance(900, 900, 20, 50).values()) == {0.0}
    assert all(one > 0 for one in chance(90, 900, 20, 50).values())


@given(st.integers(2, 10_000))
def test_a_profile_without_times_is_tested_more_strictly_by_the_number_of_columns(rows):
    before, after = [rows, rows], [60, 40]
    alone, among = distance(before, after), distance(before, after, comparisons=50)
    assert among.psi == alone.psi
    assert among.verdict in (alone.verdict, "stable")
