"""The verdict on a step of the canary: advance, hold or abort, from the plan and the counts.

The plan's chance of a false abort is split in half: one half is for the driver of the rollout, who
judges the counts of all servers, and the other for the servers, each of which judges its own.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping

from cloche.rollout.abort import FEWEST_EVENTS, AbortEvidence
from cloche.rollout.counts import Bad, Counted, RolloutCounts
from cloche.rollout.plan import Plan
from cloche.rollout.sample_ratio import log_e_mismatch
from cloche.rollout.two_rates import Rate, log_e_within
from cloche.rollout.verdict import EValue, Verdict, describe, one_of, percentage

_HALVES = 2  # of the chance of a false abort
_OF_A_FAILURE: tuple[Counted, ...] = ("requests", "failures", "failure_events")
_MISMATCH_ALPHA = 0.001
_MOST_DOUBLINGS = 12  # of the requests so far, for which the requests still needed are computed
_MOST_FAILURES = 2**20  # beyond which no number of failures is told


def judge_step(plan: Plan, counts: RolloutCounts, percent: float, minutes: float) -> Verdict:
    """Judge a step of the canary.

    Args:
        plan: Plan of the rollout.
        counts: Counts of all servers since the rollout began.
        percent: Share of the canary in this step.
        minutes: Minutes since the step began.
    """
    worse, mismatch = abort_evidence(plan, counts), _mismatch(counts)
    proofs = tuple(_proofs_of_no_worse(plan, counts, percent))
    evidence = (worse, mismatch, *proofs)
    if worse.proven:
        return Verdict("abort", (worse.sentence,), evidence)
    requests = counts.of(percent, "canary", "requests")
    holds = [one.sentence for one in proofs if not one.proven]
    if mismatch.proven:
        holds.append(mismatch.sentence)
    if minutes < plan.at_least.minutes:
        holds.append(f"{minutes:.0f} of at least {plan.at_least.minutes:g} minutes are over")
    if requests < plan.at_least.requests:
        holds.append(f"the canary got {requests:,} of at least {plan.at_least.requests:,} requests")
    if holds:
        return Verdict("hold", tuple(holds), evidence)
    return Verdict("advance", tuple(one.sentence for one in proofs), evidence)


def abort_evidence(plan: Plan, counts: RolloutCounts, servers: int | None = None) -> EValue:
    """Return the evidence that the canary fails too often; if it is proven, the rollout aborts.

    It needs at least `FEWEST_EVENTS` bad events, and a failure rate above what the plan's ratio and
    margin tolerate: a difference that the plan would promote never aborts.

    Args:
        plan: Plan of the rollout.
        counts: Counts since the rollout began.
        servers: Number of servers that have taken part in the rollout, if the counts are those of
            one of them: any one may abort, so each needs that much more evidence. None if the
            counts are those of all servers.
    """
    weighed = AbortEvidence(plan.failures.ratio)
    excess, events, all_canary, all_production = 0.0, 0, Rate(), Rate()
    for percent in counts.percents:
        canary = counts.rate(percent, "canary", "failures")
        production = counts.rate(percent, "production", "failures")
        tolerated = plan.failures.ratio * production.value + plan.failures.margin
        excess += canary.bad - canary.requests * tolerated
        all_canary, all_production = all_canary + canary, all_production + production
        weighed.add(
            percent,
            canary=counts.of(percent, "canary", "failure_events"),
            production=counts.of(percent, "production", "failure_events"),
        )
        events += counts.of(percent, "canary", "failure_events")
    log_e, limit = weighed.log_e, _HALVES * (servers or 1) / plan.alpha
    if excess <= 0 or events < FEWEST_EVENTS:
        log_e = min(log_e, 0.0)  # as if nothing spoke against the canary yet
    said = "which is no evidence against the canary yet"
    if log_e > 0:
        said = (
            "a version that is no worse comes this far in at most 1 of "
            f"{one_of(log_e):,} rollouts, and the limit is 1 of {limit:,.0f}"
        )
    return EValue(
        "failures: worse", log_e, math.log(limit),
        f"the canary failed {describe(all_canary)}, production {describe(all_production)}; {said}",
    )  # fmt: skip


def failures_to_abort(
    plan: Plan, counts: RolloutCounts, percent: float, servers: int | None = None
) -> int | None:
    """Return how many failures more would abort the canary, if production fails no more.

    Args:
        plan: Plan of the rollout.
        counts: Counts since the rollout began.
        percent: Share of the canary from now on.
        servers: As in `abort_evidence`.

    Returns:
        The number of failures of as many callers; None if no number aborts it.
    """

    def aborts(failures: int) -> bool:
        more = RolloutCounts()
        for what in _OF_A_FAILURE:
            more.count(percent, "canary", what, failures)
        return abort_evidence(plan, counts + more, servers).proven

    most = 1
    while not aborts(most):
        if most >= _MOST_FAILURES or not 0 < percent < 100:
            return None
        most *= 2
    return bisect_left(range(most), True, key=aborts)


def _mismatch(counts: RolloutCounts) -> EValue:
    callers = [
        (
            percent,
            counts.of(percent, "canary", "callers"),
            counts.of(percent, "production", "callers"),
        )
        for percent in counts.percents
    ]
    listed = ", ".join(
        f"{canary:,} of {canary + production:,} at {percent:g} %"
        for percent, canary, production in callers
        if canary + production
    )
    log_e, limit = log_e_mismatch(callers), -math.log(_MISMATCH_ALPHA)
    said = "which does not contradict its share"
    if log_e >= limit:
        said = (
            "which is not its share: look for a router, a cache or a retry that treats the arms "
            "differently"
        )
    return EValue(
        "callers: mismatch", log_e, limit,
        f"the canary got {listed or 'none'} of the callers, {said}",
    )  # fmt: skip


def _proofs_of_no_worse(plan: Plan, counts: RolloutCounts, percent: float) -> Iterator[EValue]:
    """Yield the evidence that the next share harms no more requests than the plan tolerates.

    The plan limits the harm to all requests. Of these the canary gets `s` percent at the next share
    `s`, so its own rate may exceed production's by `margin * 100 / s`: 20 times the margin at 5 %.
    """
    following = min([one for one in plan.steps if one > percent], default=100.0)
    limits: list[tuple[Bad, str, float, float]] = [
        ("failures", "failed", plan.failures.ratio, plan.failures.margin)
    ]
    if plan.slow is not None:
        limits.append(("slow", "was slow in", plan.slow.ratio, 0.0))
    for bad, verb, ratio, margin in limits:
        canary, production = (counts.rate(percent, arm, bad) for arm in ("canary", "production"))
        tolerated = {"ratio": 1 + (ratio - 1) * 100 / following, "margin": margin * 100 / following}
        log_e = log_e_within(canary, production, **tolerated)
        proven = log_e >= -math.log(plan.alpha)
        sentence = (
            f"the canary {verb} {describe(canary)}, production {describe(production)}; "
            f"{'proven' if proven else 'not proven yet'}: at most {_words(**tolerated)}, "
            f"the limit before {following:g} %"
        )
        needed = canary.requests if proven else 0
        if not proven and canary.requests and production.requests:
            needed = _needed(canary, production, tolerated, plan.alpha)
            takes = f"it takes the canary about {needed:,} requests"
            sentence += f"; at these rates {takes if needed else 'it cannot be proven'}"
        yield EValue(f"{bad}: no worse", log_e, -math.log(plan.alpha), sentence, needed or None)


def _words(ratio: float, margin: float) -> str:
    """Return the greatest tolerated rate in words."""
    rate = "production's rate" if ratio == 1 else f"{ratio:.3g} times production's rate"
    return f"{rate} and {percentage(margin)} more" if margin else rate


def _needed(canary: Rate, production: Rate, tolerated: Mapping[str, float], alpha: float) -> int:
    """Return how many requests of the canary are needed at these rates; 0 if none are enough."""
    for half_doublings in range(1, 2 * _MOST_DOUBLINGS):
        factor = 2 ** (half_doublings / 2)
        if log_e_within(canary * factor, production * factor, **tolerated) >= -math.log(alpha):
            return round(canary.requests * factor)
    return 0
