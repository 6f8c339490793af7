"""What a server counts of its arms is what the verdicts of a rollout need."""

import itertools

import pytest

from cloche.rollout.abort import FEWEST_EVENTS
from cloche.rollout.guardrails import judge_step
from cloche.rollout.plan import AtLeast, Plan, Slow
from cloche.rollout.two_rates import Rate
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.routing_key import caller_of

ARMS = ("canary", "production")
PLAN = Plan()


def made(plan=PLAN, number=0, of=1):
    """The counts of one of so many servers, which all know of each other."""
    counts = ArmCounts(plan)
    counts.servers = [f"server-{one}" for one in range(of)]
    counts.server = counts.servers[number]
    return counts


def ask(counts, percent, callers, *, arm="canary", seconds=0.01):
    for caller in callers:
        counts.add_request(arm, percent, str(caller).encode(), 1.0, seconds)


def failures_until_abort(servers):
    """How many callers of the canary must fail while production never does, at a share of 5 %."""
    counts = made(of=servers)
    ask(counts, 5, range(95), arm="production")
    failures, reason, told = 0, "", None
    while not reason:
        failures += 1
        ask(counts, 5, [failures])
        told = counts.describe(5)["abort"]
        reason = counts.add_failure("canary", 5, str(failures).encode(), 1.0)
    assert (told["failures"], told["at"]) == (failures - 1, failures)
    assert told["limit"] == 200 * servers
    assert told["one_of"] < told["limit"]
    assert (told["one_of"] > 1) == (failures > FEWEST_EVENTS)  # before, nothing is evidence
    return failures


def test_a_server_among_many_needs_more_evidence_and_says_how_many_failures():
    assert [failures_until_abort(servers) for servers in (1, 10, 1000)] == [3, 4, 5]


@pytest.mark.parametrize("percent", [0, 100])
def test_where_no_failure_aborts_none_is_told(percent):
    assert made().describe(percent)["abort"] is None


def test_a_caller_counts_once_at_each_share_until_there_are_enough():
    counts = made()
    for percent, callers in [(5, [1, 2, 1]), (25, [1, 3]), (5, [1, 4]), (50, range(10_050))]:
        ask(counts, percent, callers)
    assert [counts.total.of(percent, "canary", "callers") for percent in (5, 25, 50)] == [
        2, 2, 10_000
    ]  # fmt: skip
    assert counts.total.of(5, "canary", "requests") == 5


def test_only_requests_that_could_be_slow_are_in_the_rate_of_slow_ones():
    counts = made(Plan(slow=Slow(quantile=0.9)))
    ask(counts, 50, range(100), arm="production")
    for arm, seconds in itertools.product(ARMS, (0.01, 0.02)):
        ask(counts, 50, range(30), arm=arm, seconds=seconds)
    counts.add_request("canary", 50, b"a full queue", 1.0)
    assert [counts.total.rate(50, arm, "slow") for arm in ARMS] == [Rate(60, 30)] * 2
    assert counts.total.rate(50, "production", "failures").requests == 160


def test_a_canary_that_is_slow_too_often_holds():
    plan = Plan(slow=Slow(quantile=0.9), steps=(50,), at_least=AtLeast(minutes=0, requests=1))
    decided = {}
    for slow in (5, 50):
        counts = made(plan)
        ask(counts, 50, range(100), arm="production")
        for number in range(10_000):
            for arm, late in (("production", 5), ("canary", slow)):
                seconds = 0.02 if number % 100 < late else 0.001
                ask(counts, 50, [f"{number} {arm}"], arm=arm, seconds=seconds)
        decided[slow] = judge_step(plan, counts.total, 50, 1).decision
    assert decided == {5: "advance", 50: "hold"}


def test_few_callers_are_told_when_they_make_the_share_coarse():
    counts = made()
    ask(counts, 5, [1, 2, 3] * 333)
    assert counts.describe(5)["warning"] is None
    ask(counts, 5, [1])
    assert counts.describe(5)["warning"] == (
        "1,000 requests came from 3 callers, who are not divided, so the canary's share is coarse. "
        "Have clients send the header X-Routing-Key, such as a hash of the user."
    )
    ask(counts, 5, range(20))
    assert counts.describe(5)["warning"] is None


def fail(counts, callers):
    for caller in callers:
        ask(counts, 50, [caller])
        counts.add_failure("canary", 50, str(caller).encode(), 1.0)


def test_servers_that_have_the_same_callers_count_each_of_them_once_together():
    servers = [made(number=number, of=3) for number in range(3)]
    for server in servers:
        fail(server, range(300))
    shares = [server.total.of(50, "canary", "failure_events") for server in servers]
    assert (sum(shares), min(shares) > 50) == (300, True)
    assert sum(server.total.of(50, "canary", "callers") for server in servers) == 300
    for server in servers:  # each judges by all callers of its own
        assert server.describe(50)["abort"]["failures"] == 300


def test_callers_that_come_once_are_counted_by_whoever_has_them():
    server = made(number=0, of=3)
    fail(server, [caller_of(key, key).decode() for key in (b"1", b"2", b"3", b"3")])
    assert server.total.of(50, "canary", "failure_events") == 3


def test_a_server_that_the_registry_does_not_name_yet_leaves_callers_to_others():
    server = ArmCounts(PLAN)
    server.server = "new"
    fail(server, range(3))
    assert server.total.of(50, "canary", "failure_events") == 0
    assert server.describe(50)["abort"]["failures"] == 3
