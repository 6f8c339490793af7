"""The verdict on a step: abort on proof, advance on proof, and otherwise hold with the reason."""

import math
from dataclasses import replace

import pytest

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.guardrails import abort_evidence, failures_to_abort, judge_step
from cloche.rollout.plan import Failures, Plan, Shadow
from cloche.rollout.shadow import judge_shadow

PLAN = Plan()


def counted(percent, canary, production, total=None):
    """Counts with (requests, failures, slow) for each arm; a caller for each request."""
    total = total or RolloutCounts()
    for arm, (requests, failures, slow) in (("canary", canary), ("production", production)):
        for what, number in [
            ("requests", requests), ("callers", requests), ("slow", slow),
            ("failures", failures), ("failure_events", failures),
        ]:  # fmt: skip
            total.count(percent, arm, what, number)
    return total


def decision(counts, percent, minutes=10, plan=PLAN):
    return judge_step(plan, counts, percent, minutes).decision


GOOD = counted(1, (600, 0, 6), (59_400, 12, 594))


def test_a_version_that_is_proven_no_worse_advances_and_the_numbers_are_told():
    verdict = judge_step(PLAN, GOOD, 1, 10)
    assert verdict.decision == "advance"
    assert verdict.reasons == (
        "the canary failed 0 of 600 requests (0 %), production 12 of 59,400 requests (0.0202 %); "
        "proven: at most production's rate and 2 % more, the limit before 5 %",
        "the canary was slow in 6 of 600 requests (1 %), production 594 of 59,400 requests (1 %); "
        "proven: at most 11 times production's rate, the limit before 5 %",
    )


def test_a_version_that_fails_every_20th_request_aborts_within_a_few_failures():
    for failures in range(10):
        found = counted(5, (20 * failures, failures, 0), (380 * failures, 0, 0))
        if abort_evidence(PLAN, found).proven:
            break
    assert failures == 3
    assert judge_step(PLAN, found, 5, 1).reasons == (
        "the canary failed 3 of 60 requests (5 %), production 0 of 1,140 requests (0 %); a version "
        "that is no worse comes this far in at most 1 of 1,182 rollouts, and the limit is 1 of 200",
    )


def test_a_difference_within_the_margin_aborts_nothing():
    found = counted(50, (1_000_000, 900, 0), (1_000_000, 100, 0))
    assert decision(found, 50) != "abort"
    strict = replace(PLAN, failures=Failures(margin=0.0005))
    assert decision(found, 50, plan=strict) == "abort"


def test_failures_of_an_earlier_step_count_on():
    found = counted(5, (1000, 2, 0), (19_000, 0, 0))
    assert decision(found, 5) == "hold"
    assert decision(counted(25, (250, 2, 0), (750, 0, 0), total=found), 25) == "abort"


def test_servers_that_look_alone_need_that_much_more_evidence():
    found = counted(5, (60, 3, 0), (1140, 0, 0))
    together, alone = abort_evidence(PLAN, found), abort_evidence(PLAN, found, servers=10)
    assert (together.proven, alone.proven) == (True, False)
    assert alone.log_limit - together.log_limit == pytest.approx(math.log(10))


@pytest.mark.parametrize("failures", [0, 2, 40])
@pytest.mark.parametrize("percent", [1, 25, 60])
@pytest.mark.parametrize("servers", [None, 7])
def test_so_many_failures_more_abort_as_are_told(failures, percent, servers):
    def after(more):
        found = counted(percent, (400 + more, failures + more, 0), (9600, 40, 0))
        return abort_evidence(PLAN, found, servers).proven

    found = counted(percent, (400, failures, 0), (9600, 40, 0))
    more = failures_to_abort(PLAN, found, percent, servers)
    assert [after(number) for number in range(more + 1)] == [False] * more + [True]


def test_two_failures_abort_nothing():
    assert not abort_evidence(PLAN, counted(0.1, (20, 2, 0), (19_980, 0, 0))).proven


def test_evidence_that_proves_nothing_says_so():
    healthy = counted(5, (50, 0, 0), (950, 0, 0))
    said = {one.name: one.sentence for one in judge_step(PLAN, healthy, 5, 10).evidence}
    assert said["failures: worse"].endswith("which is no evidence against the canary yet")
    assert said["callers: mismatch"].endswith("which does not contradict its share")
    shadow = RolloutCounts()
    shadow.count(10, "shadow", "requests", 500)
    *_, differs = judge_shadow(SHADOWED, shadow).evidence
    assert differs.sentence.endswith("which is not proven to be exceeded")


@pytest.mark.parametrize(
    ("counts", "percent", "minutes", "reason"),
    [
        (GOOD, 1, 9, "9 of at least 10 minutes are over"),
        (
            counted(1, (450, 0, 4), (44_550, 9, 445)), 1, 10,
            "the canary got 450 of at least 500 requests",
        ),
        (
            counted(1, (1500, 0, 15), (58_500, 12, 594)), 1, 10,
            "the canary got 1,500 of 60,000 at 1 % of the callers",
        ),
        (
            counted(50, (4000, 0, 0), (4000, 0, 0)), 50, 10,
            "at these rates it takes the canary about 8,000 requests",
        ),
        (
            counted(5, (4000, 0, 400), (76_000, 0, 760)), 5, 10,
            "was slow in 400 of 4,000 requests (10 %)",
        ),
        (RolloutCounts(), 1, 60, "the canary failed 0 of 0 requests"),
    ],
)  # fmt: skip
def test_what_is_not_proven_or_not_over_holds(counts, percent, minutes, reason):
    verdict = judge_step(PLAN, counts, percent, minutes)
    assert verdict.decision == "hold"
    assert any(reason in one for one in verdict.reasons)


def test_without_slow_in_the_plan_latency_holds_nothing():
    slow = counted(1, (600, 0, 600), (59_400, 0, 0))
    assert decision(slow, 1) == "hold"
    assert decision(slow, 1, plan=replace(PLAN, slow=None)) == "advance"


SHADOWED = Plan(shadow=Shadow())


@pytest.mark.parametrize(
    ("shadow", "baseline", "decides", "reason"),
    [
        ((2500, 60), (0, 0), "advance", "60 of 2,500 answers (2.4 %); the plan allows 5 % more"),
        ((1500, 30), (0, 0), "hold", "1,500 of at least 2,000 answers are compared"),
        ((2500, 120), (0, 0), "hold", "not proven yet"),
        ((2500, 500), (0, 0), "hold", "decide whether it is meant"),
        ((2500, 500), (2500, 500), "advance", "production from itself in 500 of 2,500 answers"),
    ],
)
def test_a_shadow_passes_if_few_answers_differ_more_than_productions_own(
    shadow, baseline, decides, reason
):
    found = RolloutCounts()
    for arm, (answers, differences) in (("shadow", shadow), ("baseline", baseline)):
        found.count(10, arm, "requests", answers)
        found.count(10, arm, "differences", differences)
    verdict = judge_shadow(SHADOWED, found)
    assert (verdict.decision, reason in verdict.reasons[-1]) == (decides, True)


def test_a_plan_without_a_shadow_goes_on():
    assert judge_shadow(PLAN, RolloutCounts()).decision == "advance"
