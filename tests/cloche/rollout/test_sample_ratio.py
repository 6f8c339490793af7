"""Callers that are not assigned by the share are found, and chance is not taken for it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.rollout.sample_ratio import log_e_mismatch


@given(st.sampled_from([0.1, 1, 5, 50]), st.integers(0, 5000), st.integers(0, 5000))
def test_another_caller_multiplies_the_evidence_by_1_on_average(percent, canary, production):
    before = log_e_mismatch([(percent, canary, production)])
    more = math.exp(log_e_mismatch([(percent, canary + 1, production)]) - before)
    less = math.exp(log_e_mismatch([(percent, canary, production + 1)]) - before)
    assert percent / 100 * more + (1 - percent / 100) * less == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([(5, 500, 9500), (25, 2500, 7500)], False),
        ([(5, 530, 9470), (25, 2550, 7450)], False),
        ([(5, 500, 9500), (25, 3000, 7000)], True),
        ([(5, 0, 400)], True),
        ([(0, 0, 400), (100, 400, 0)], False),
        ([], False),
    ],
)
def test_a_canary_with_too_many_or_too_few_callers_is_found(counts, found):
    assert (log_e_mismatch(counts) >= math.log(1000)) is found
