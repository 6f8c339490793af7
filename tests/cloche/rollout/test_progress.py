"""What people are told of a canary before its next step: done, needed, and whether it is shown."""

from datetime import UTC, datetime, timedelta

from cloche.rollout.plan import Plan
from cloche.rollout.progress import progress
from cloche.rollout.step import Step
from tests.cloche.rollout.test_guardrails import GOOD, counted

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def checks(counts, percent=1, plan=None, minutes=None):
    """The checks by name: done, needed, passed."""
    step = None if minutes is None else Step(percent, NOW - timedelta(minutes=minutes), "1")
    told = progress(plan or Plan(), counts, percent, step, NOW)
    return {one["name"]: (one["done"], one["needed"], one["passed"]) for one in told["checks"]}


def test_a_canary_that_has_shown_everything_advances():
    told = progress(Plan(), GOOD, 1, Step(1, NOW - timedelta(minutes=11), "1"), NOW)
    assert (told["decision"], told["next"]) == ("advance", 5)
    assert (told["step"]["number"], told["step"]["of"]) == (1, 4)
    assert all(one["passed"] for one in told["checks"])


def test_what_is_missing_is_told_in_requests_and_minutes():
    found = checks(counted(5, (400, 0, 4), (7_600, 8, 76)), 5, minutes=4)
    done, needed, passed = found["failures"]
    assert (done, passed) == (400, False)
    assert 400 < needed < 10_000
    assert found["requests"] == (400, 500, False)
    assert found["minutes"] == (4, 10, False)


def test_as_many_requests_as_were_told_to_be_needed_prove_it():
    needed = checks(counted(5, (400, 0, 0), (7_600, 0, 0)), 5)["failures"][1]
    assert checks(counted(5, (needed, 0, 0), (19 * needed, 0, 0)), 5)["failures"][2]


def test_a_canary_by_hand_has_no_minutes_and_one_that_fails_too_often_no_number_that_is_enough():
    found = checks(counted(5, (400, 40, 4), (7_600, 8, 76)), 5)
    assert "minutes" not in found
    assert found["failures"] == (400, None, False)


def test_without_requests_nothing_is_known_and_without_a_limit_for_slow_ones_nothing_told():
    found = checks(counted(5, (0, 0, 0), (0, 0, 0)), 5, plan=Plan(slow=None))
    assert found["failures"] == (0, None, False)
    assert "slow" not in found


def test_callers_that_are_not_divided_as_the_share_says_are_told():
    assert "callers" not in checks(GOOD)
    assert checks(counted(1, (5_000, 0, 0), (5_000, 0, 0)))["callers"] == (0, None, False)
