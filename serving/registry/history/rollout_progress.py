"""How far the rollout of a canary is, by what all servers have told the registry; for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cloche.rollout.counts import RolloutCounts
from cloche.rollout.plan import PlanError, parse_plan
from cloche.rollout.progress import progress
from cloche.rollout.registry_keys import (
    ACTIVE,
    CANARY_PERCENT_TAG,
    PLAN_TAG,
    ROLLOUT_TAG,
    RUN_TAG,
    STEP_TAG,
)
from cloche.rollout.step import Step
from cloche.serving.registry.counts_tags import counts_of_servers


def rollout_progress(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return how far a canary is, by the tags of its version; None if they cannot be read."""
    word, _, reason = tags.get(ROLLOUT_TAG, "").partition(":")
    step = Step.parse(tags.get(STEP_TAG)) if word in ACTIVE else None
    if step is not None and step.shadow:  # the canary was set by hand
        step = None
    try:
        percent = step.percent if step else float(tags.get(CANARY_PERCENT_TAG, "1"))
        plan = parse_plan(tags.get(PLAN_TAG, "{}"))
    except (ValueError, PlanError):
        return None
    servers = counts_of_servers(tags, tags.get(RUN_TAG, ""))
    counts = sum((one.counts for one in servers.values()), RolloutCounts())
    return {
        "state": word or None, "reason": reason.strip() or None, "servers": len(servers),
        **progress(plan, counts, percent, step, datetime.now(UTC)),
    }  # fmt: skip
