"""How far a canary is from its next step, in numbers for people: its checks, done and needed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.guardrails import judge_step
from cloche.rollout.plan import Plan
from cloche.rollout.step import Step
from cloche.rollout.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a canary has to show before its next step.

    Attributes:
        name: What is shown: that it is no worse in `failures` or `slow` answers; the `requests` or
            `minutes` of the step; that `callers` are divided as the share says.
        done: Requests or minutes so far.
        needed: How many it takes; None if that is unknown, or no number is enough.
        passed: Whether it is shown.
    """

    name: Literal["failures", "slow", "requests", "minutes", "callers"]
    done: float
    needed: float | None
    passed: bool


def progress(
    plan: Plan, counts: RolloutCounts, percent: float, step: Step | None, now: datetime
) -> dict[str, Any]:
    """Return how far a canary is, as plain data.

    Args:
        plan: Plan of the rollout.
        counts: Counts of all servers since the rollout began.
        percent: Share of the canary.
        step: The step of the driver; None if nobody drives, so that time makes no difference.
        now: Time of the look.
    """
    minutes = (now - step.since) / timedelta(minutes=1) if step is not None else inf
    verdict = judge_step(plan, counts, percent, minutes)
    return {
        "decision": verdict.decision,
        "next": min([one for one in plan.steps if one > percent], default=100.0),
        "step": None if step is None else {
            "number": sum(one <= percent for one in plan.steps), "of": len(plan.steps),
            "since": step.since.isoformat(),
        },
        "checks": [asdict(one) for one in _checks(plan, counts, percent, minutes, verdict)],
    }  # fmt: skip


def _checks(
    plan: Plan, counts: RolloutCounts, percent: float, minutes: float, verdict: Verdict
) -> Iterator[Check]:
    by_name = {one.name: one for one in verdict.evidence}
    for bad in ("failures", "slow"):
        if (proof := by_name.get(f"{bad}: no worse")) is not None:
            requests = counts.rate(percent, "canary", bad).requests
            yield Check(bad, requests, proof.needed, proof.proven)
    requests, least = counts.of(percent, "canary", "requests"), plan.at_least
    yield Check("requests", requests, least.requests, requests >= least.requests)
    if minutes < inf:
        yield Check("minutes", minutes, least.minutes, minutes >= least.minutes)
    if by_name["callers: mismatch"].proven:
        yield Check("callers", 0, None, passed=False)
