"""Counts of servers add up and travel as tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.two_rates import Rate

COUNTED = st.tuples(
    st.sampled_from([0.5, 1.0, 25.0]), st.sampled_from(["canary", "production"]),
    st.sampled_from(["requests", "failures"]), st.integers(1, 10**9),
)  # fmt: skip


def counts(entries):
    found = RolloutCounts()
    for entry in entries:
        found.count(*entry)
    return found


@given(st.lists(COUNTED), st.lists(COUNTED))
def test_counts_of_servers_add_up_through_their_tags(one, other):
    total = RolloutCounts.parse(counts(one).as_json()) + RolloutCounts.parse(
        counts(other).as_json()
    )
    assert total.as_json() == counts([*one, *other]).as_json()
    assert total.percents == sorted({percent for percent, *_ in [*one, *other]})


def test_rates_are_those_of_one_share_and_arm():
    found = counts(
        [(1, "canary", "requests", 8), (1, "canary", "failures"), (5, "canary", "requests")]
    )
    assert found.rate(1, "canary", "failures") == Rate(8, 1)
    assert found.rate(1, "production", "failures") == Rate()


def test_the_rate_of_slow_requests_is_of_those_that_somebody_timed():
    found = counts(
        [(1, "canary", "requests", 8), (1, "canary", "untimed", 3), (1, "canary", "slow", 2)]
    )
    assert found.rate(1, "canary", "slow") == Rate(5, 2)
    assert found.rate(1, "canary", "failures") == Rate(8, 0)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": {}}x', '{"a": {"canary": {"requests": 1}}}', '{"1": 2}']
)
def test_a_tag_that_somebody_else_wrote_is_refused(text):
    with pytest.raises(ValueError, match="no counts of a rollout"):
        RolloutCounts.parse(text)
