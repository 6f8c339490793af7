"""What the tags of a version say of it as a canary. Pure."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

from cloche.rollout.plan import Plan, PlanError, parse_plan
from cloche.rollout.registry_keys import (
    ABORTED,
    CANARY_PERCENT_TAG,
    HOLDING,
    PAUSED,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUNNING,
)
from cloche.serving.registry.resolved_version import ResolvedVersion

_DEFAULT_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class CanaryTags:
    """The share and the plan of a canary.

    Attributes:
        percent: The share of the callers whose requests it answers; 0 if a tag is wrong.
        plan: The plan of its rollout.
        problem: What is wrong with the tags; empty for nothing.
    """

    percent: float = _DEFAULT_PERCENT
    plan: Plan = field(default_factory=Plan)
    problem: str = ""


@lru_cache(maxsize=16)
def read_tags(percent: str, plan: str) -> CanaryTags:
    """Return what the tags of the share and of the plan say; both are empty without the tag."""
    try:
        share = float(percent or _DEFAULT_PERCENT)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 100:
        return CanaryTags(
            0.0, problem=f"Its tag {CANARY_PERCENT_TAG} is {percent!r}, and the share of a canary "
            "is a number from 0 to 100. It gets no requests until the tag is one.",
        )  # fmt: skip
    try:
        return CanaryTags(share, parse_plan(plan) if plan else Plan())
    except PlanError as error:
        mistakes = "; ".join(str(error).splitlines())
        return CanaryTags(
            0.0, problem=f"Its tag {PLAN_TAG} is no plan of a rollout: {mistakes}. It gets no "
            "requests until the tag is one, or is removed.",
        )  # fmt: skip


def aborted_problem(version: str, state: str) -> str:
    """The reason why an aborted version gets no requests."""
    return (
        f"Version {version} is {state}. It gets no requests until its tag {ROLLOUT_TAG} is "
        "removed, or a new rollout of it begins."
    )


def is_aborted(target: ResolvedVersion) -> bool:
    """Whether the registry says that a version's rollout was aborted."""
    return target.rollout.startswith(ABORTED)


def is_driven(target: ResolvedVersion) -> bool:
    """Whether a rollout drives the canary, and not a person by hand."""
    return bool(target.rollout_run_id) and target.rollout.startswith((RUNNING, HOLDING, PAUSED))
