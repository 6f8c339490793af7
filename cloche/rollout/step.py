"""A step of a rollout as the registry stores it, and the order of the steps. Pure."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Self

from cloche.rollout.plan import Plan
from cloche.rollout.registry_keys import CANARY, CANARY_PERCENT_TAG, SHADOW, SHADOW_PERCENT_TAG


@dataclass(frozen=True)
class Step:
    """One step, which lasts until its version has shown what the plan asks for.

    Attributes:
        percent: Share of the canary, or of the requests that the shadow gets copies of.
        since: Time when the step began.
        production: Number of the version beside it.
        shadow: Whether this is the step of the shadow.
        shadow_only: Whether the rollout ends after the step of the shadow.
    """

    percent: float
    since: datetime
    production: str
    shadow: bool = False
    shadow_only: bool = False

    @property
    def alias(self) -> str:
        """The alias of the arm that this step is about."""
        return SHADOW if self.shadow else CANARY

    @property
    def percent_tag(self) -> str:
        """The tag that has the share of the arm."""
        return SHADOW_PERCENT_TAG if self.shadow else CANARY_PERCENT_TAG

    def title(self, plan: Plan) -> str:
        """Return the step in words."""
        if self.shadow:
            return f"shadow of {self.percent:g} % of the requests"
        position = sum(one <= self.percent for one in plan.steps)
        return f"{self.percent:g} % of the callers, step {position} of {len(plan.steps)}"

    def as_json(self) -> str:
        """Return the value of the tag."""
        return json.dumps({**asdict(self), "since": self.since.isoformat(timespec="seconds")})

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read the value of the tag; None if it is none."""
        try:
            found = json.loads(text or "")
            return cls(**{**found, "since": datetime.fromisoformat(found["since"])})
        except (KeyError, TypeError, ValueError):
            return None


def first_step(plan: Plan, production: str, now: datetime, *, shadow_only: bool) -> Step:
    """Return the first step: the shadow if the plan has one, else the smallest share."""
    if plan.shadow is None:
        return Step(plan.steps[0], now, production)
    return Step(plan.shadow.percent, now, production, shadow=True, shadow_only=shadow_only)


def following_step(plan: Plan, step: Step, now: datetime) -> Step | None:
    """Return the next step; None after the last one."""
    if step.shadow_only:
        return None
    percents = [one for one in plan.steps if step.shadow or one > step.percent]
    return replace(step, percent=percents[0], since=now, shadow=False) if percents else None
