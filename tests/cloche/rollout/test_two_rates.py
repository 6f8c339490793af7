"""Evidence about two arms' rates: right for every pair of rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.rollout.two_rates import Rate, log_e_above, log_e_below, log_e_beyond, log_e_within

MEAN = st.floats(0.0001, 0.9999)


@st.composite
def rates(draw):
    requests = draw(st.integers(0, 5000))
    return Rate(requests, draw(st.integers(0, requests)))


@given(rates(), MEAN, st.sampled_from([log_e_below, log_e_above]))
def test_another_request_multiplies_the_evidence_by_1_on_average(arm, mean, log_e):
    before = log_e(arm, mean)
    bad, good = (math.exp(log_e(arm + Rate(1, one), mean) - before) for one in (1, 0))
    assert mean * bad + (1 - mean) * good == pytest.approx(1)


@given(st.lists(st.tuples(MEAN, st.booleans()), min_size=1, max_size=20))
def test_a_chance_that_changes_counts_as_its_mean(requests):
    arm = Rate(len(requests), sum(bad for _, bad in requests))
    mean = sum(chance for chance, _ in requests) / len(requests)
    tilt = 0.5
    exact = math.prod(
        (tilt if bad else 1) / (1 - chance + chance * tilt) for chance, bad in requests
    )
    assert tilt**arm.bad / (1 - mean + mean * tilt) ** arm.requests <= exact * (1 + 1e-9)


@given(rates(), rates(), st.floats(0, 1), st.floats(0.2, 5), st.floats(0, 0.5))
def test_no_pair_of_rates_that_is_not_within_has_less_evidence_against_it(
    canary, production, place, ratio, margin
):
    mean = place * min(1, (1 - margin) / ratio)
    of_canary = ratio * mean + margin
    within = log_e_within(canary, production, ratio=ratio, margin=margin)
    beyond = log_e_beyond(canary, production, ratio=ratio, margin=margin)
    slack = 1e-6
    assert within <= log_e_below(canary, of_canary) + log_e_above(production, mean) + slack
    assert beyond <= log_e_above(canary, of_canary) + log_e_below(production, mean) + slack


@pytest.mark.parametrize(
    ("canary", "production", "margin", "proves"),
    [
        (Rate(9_000, 0), Rate(9_000, 0), 0.001, "within"),
        (Rate(6_000, 0), Rate(6_000, 0), 0.001, "neither"),
        (Rate(500, 0), Rate(49_500, 10), 0.02, "within"),
        (Rate(500, 25), Rate(9_500, 5), 0.001, "beyond"),
        (Rate(10_000, 100), Rate(10_000, 100), 0.01, "within"),
        (Rate(), Rate(9_000, 9), 0.5, "neither"),
    ],
)
def test_what_counts_prove_at_99_percent(canary, production, margin, proves):
    limit = math.log(100)
    within = log_e_within(canary, production, margin=margin) >= limit
    beyond = log_e_beyond(canary, production, margin=margin) >= limit
    assert {(True, False): "within", (False, True): "beyond"}.get(
        (within, beyond), "neither"
    ) == proves
