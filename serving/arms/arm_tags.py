"""What the tags of a version say of it as a canary or a shadow. Pure."""

import math
from dataclasses import dataclass
from functools import lru_cache

from cloche.rollout.plan import Plan, PlanError, parse_plan
from cloche.rollout.registry_keys import (
    ABORTED,
    CANARY,
    CANARY_PERCENT_TAG,
    HOLDING,
    PAUSED,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUNNING,
    SHADOW,
    SHADOW_PERCENT_TAG,
)
from cloche.serving.registry.resolved_version import ResolvedVersion

# by arm: the tag of the share, the share without the tag, and the greatest
_SHARES = {CANARY: (CANARY_PERCENT_TAG, 1.0, 100.0), SHADOW: (SHADOW_PERCENT_TAG, 10.0, 50.0)}


@dataclass(frozen=True, slots=True)
class ArmTags:
    """The share and the plan of a canary or a shadow.

    Attributes:
        percent: The share of the callers whose requests a canary answers, or of the requests whose
            copies a shadow gets; 0 if a tag is wrong.
        plan: The plan of its rollout.
        problem: What is wrong with the tags; empty for nothing.
    """

    percent: float
    plan: Plan
    problem: str = ""


@lru_cache(maxsize=16)
def read_tags(arm: str, percent: str, plan: str) -> ArmTags:
    """Return what the tags of the share and of the plan say of a version.

    Args:
        arm: Whether it is the `canary` or the `shadow`.
        percent: The tag of the share; empty without one.
        plan: The tag of the plan; empty without one.
    """
    tag, default, most = _SHARES[arm]
    try:
        share = float(percent or default)
    except ValueError:
        share = math.nan
    if not 0 <= share <= most:
        return ArmTags(
            0.0, Plan(), f"Its tag {tag} is {percent!r}, and the share of a {arm} is a number from "
            f"0 to {most:g}. It gets no requests until the tag is one.",
        )  # fmt: skip
    try:
        return ArmTags(share, parse_plan(plan) if plan else Plan())
    except PlanError as error:
        mistakes = "; ".join(str(error).splitlines())
        return ArmTags(
            0.0, Plan(), f"Its tag {PLAN_TAG} is no plan of a rollout: {mistakes}. It gets no "
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
    """Whether a rollout drives the version, and not a person by hand."""
    return bool(target.rollout_run_id) and target.rollout.startswith((RUNNING, HOLDING, PAUSED))
