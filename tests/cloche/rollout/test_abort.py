"""Evidence against a canary: right by its formula, rarely wrong, and quick for a broken version."""

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.rollout.abort import AbortEvidence

PERCENT = st.sampled_from([0.1, 1.0, 5.0, 25.0, 50.0])
EVENTS = st.lists(st.tuples(PERCENT, st.integers(0, 30), st.integers(0, 30)), max_size=8)


def evidence(events, tolerated=1.0):
    found = AbortEvidence(tolerated)
    for percent, canary, production in events:
        found.add(percent, canary=canary, production=production)
    return found.log_e


def theta(ratio, w):
    return ratio * w / (ratio * w + 1 - w)


@pytest.mark.parametrize("tolerated", [1.0, 1.5])
def test_the_evidence_is_the_mixture_of_likelihood_ratios(tolerated):
    products = []
    for ratio in (1.3, 2, 5, 20, 100):
        product = 1.0
        for w, is_canary in [(0.01, 1), (0.05, 0), (0.05, 1), (0.05, 1), (0.25, 0)]:
            alternative, null = theta(ratio * tolerated, w), theta(tolerated, w)
            product *= alternative / null if is_canary else (1 - alternative) / (1 - null)
        products.append(product)
    found = evidence([(1, 1, 0), (5, 2, 1), (25, 0, 1)], tolerated)
    assert found == pytest.approx(math.log(sum(products) / 5))


@given(EVENTS, st.sampled_from([0.5, 1.0, 3.0]))
def test_counts_per_share_say_as_much_as_the_events_in_any_order(events, tolerated):
    single = [(p, *one) for p, c, d in events for one in [(1, 0)] * c + [(0, 1)] * d]
    assert evidence(single[::-1], tolerated) == pytest.approx(evidence(events, tolerated), abs=1e-6)


@given(EVENTS, PERCENT, st.floats(0.1, 10))
def test_another_event_multiplies_the_evidence_by_1_on_average_at_the_tolerated_ratio(
    events, percent, tolerated
):
    before, w = evidence(events, tolerated), percent / 100
    worse = math.exp(evidence([*events, (percent, 1, 0)], tolerated) - before)
    better = math.exp(evidence([*events, (percent, 0, 1)], tolerated) - before)
    mean = theta(tolerated, w) * worse + (1 - theta(tolerated, w)) * better
    assert mean == pytest.approx(1)
    assert worse >= 1 >= better  # so that any smaller ratio has a mean of at most 1


@pytest.mark.parametrize("percent", [0, 100])
def test_no_event_counts_where_only_one_arm_has_traffic(percent):
    assert evidence([(percent, 50, 50)]) == 0


def test_a_million_events_overflow_nothing():
    assert evidence([(5, 1_000_000, 10)]) > 1e6
    assert evidence([(5, 10, 1_000_000)]) < -1e3


def test_looking_after_every_event_at_shares_that_change_aborts_as_rarely_as_promised():
    random = np.random.default_rng(0)
    percents = [1, 5, 25, 50, 50, 25] * 10
    aborts = 0
    for draws in random.random((300, len(percents))):
        found = AbortEvidence()
        for percent, draw in zip(percents, draws, strict=True):
            found.add(percent, **{"canary" if draw < percent / 100 else "production": 1})
            if found.log_e >= math.log(1 / 0.05):
                aborts += 1
                break
    assert 0 < aborts <= 0.05 * 300


@pytest.mark.parametrize(("percent", "most"), [(1, 2), (5, 3), (25, 6), (50, 11)])
def test_a_few_failures_abort_a_canary_beside_a_production_that_never_fails(percent, most):
    alone = accumulate([1] * most)
    assert [evidence([(percent, n, 0)]) >= math.log(400) for n in alone].index(True) == most - 1
