"""The verdict on a shadow, whose answers to copies of requests are compared with production's."""

import math

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.plan import Plan
from cloche.rollout.two_rates import Rate, log_e_above, log_e_beyond, log_e_within
from cloche.rollout.verdict import EValue, Verdict, describe, percentage


def judge_shadow(plan: Plan, counts: RolloutCounts) -> Verdict:
    """Judge a shadow: advance on proof that few answers differ, and otherwise hold.

    If many answers differ, people decide whether the difference is intended.

    Answers in which production differs from itself (the arm `baseline`) do not count against it.
    """
    if plan.shadow is None:
        return Verdict("advance", ("the plan has no shadow",))
    margin, shadow, baseline = plan.shadow.disagreement, Rate(), Rate()
    for percent in counts.percents:
        shadow += counts.rate(percent, "shadow", "differences")
        baseline += counts.rate(percent, "baseline", "differences")
    more = log_e_beyond(shadow, baseline, margin=margin)
    if not baseline.requests:
        more = log_e_above(shadow, margin)  # as if production never differed from itself
    sentence = f"the shadow differs from production in {describe(shadow, 'answers')}"
    if baseline.requests:
        sentence += f", production from itself in {describe(baseline, 'answers')}"
    limit, allowed = -math.log(plan.alpha), f"the plan allows {percentage(margin)} more"
    exceeded = "which is not proven to be exceeded"
    if more >= limit:
        exceeded = "and that is proven to be exceeded: decide whether it is meant"
    agrees = EValue(
        "differences: few", log_e_within(shadow, baseline, margin=margin), limit,
        f"{sentence}; {allowed}",
    )  # fmt: skip
    differs = EValue(
        "differences: many", more, limit,
        f"{sentence}; {allowed}, {exceeded}",
    )  # fmt: skip
    if differs.proven:
        return Verdict("hold", (differs.sentence,), (agrees, differs))
    holds = [] if agrees.proven else [f"{agrees.sentence}, which is not proven yet"]
    if shadow.requests < plan.shadow.requests:
        holds.append(
            f"{shadow.requests:,} of at least {plan.shadow.requests:,} answers are compared"
        )
    if holds:
        return Verdict("hold", tuple(holds), (agrees, differs))
    return Verdict("advance", (agrees.sentence,), (agrees, differs))
