"""A look at a rollout: the state in the registry, and the verdict on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cloche.rollout.counts import Arm
from cloche.rollout.guardrails import judge_step
from cloche.rollout.registry_keys import PAUSED
from cloche.rollout.shadow import judge_shadow
from cloche.rollout.step import Step
from cloche.rollout.two_rates import Rate
from cloche.rollout.verdict import Verdict, percentage
from cloche.training.rollout.rollout_state import RolloutState

_SILENT_SECONDS = 60.0  # within which servers tell of a step that has begun


@dataclass(frozen=True)
class Look:
    """A rollout as it was at one time.

    Attributes:
        at: Time of the look.
        state: State in the registry.
        step: The step.
        verdict: What the plan says of it.
    """

    at: datetime
    state: RolloutState
    step: Step
    verdict: Verdict

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return (self.at - self.step.since).total_seconds()

    @property
    def arms(self) -> dict[str, Rate]:
        """The bad requests of both arms at the share of this step, by the name of the arm.

        Those of the shadow are answers that differ, at any share.
        """
        counts = self.state.counts
        if not self.step.shadow:
            both: tuple[Arm, Arm] = ("canary", "production")
            return {arm: counts.rate(self.step.percent, arm, "failures") for arm in both}
        compared: tuple[Arm, Arm] = ("shadow", "baseline")
        return {
            arm: sum((counts.rate(p, arm, "differences") for p in counts.percents), Rate())
            for arm in compared
        }

    @property
    def silence(self) -> str:
        """What is wrong if no server serves the step; empty if one does, or soon may."""
        if self.seconds < _SILENT_SECONDS:
            return ""
        servers = self.state.servers
        if not servers and self.state.server_counts is not None:
            return (
                "Prometheus has no requests of this step: does it scrape the /metrics of all "
                "servers?"
            )
        if not servers:
            return (
                "no server has told what it counts: is one running that follows "
                f"models:/{self.state.model.name}@production, with a Cloche that has rollouts, and "
                "may it write tags of the registry?"
            )
        shares = {
            one.shadow_percent if self.step.shadow else one.percent for one in servers.values()
        }
        return "" if self.step.percent in shares else "no server serves this share yet"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is missing, or what decided, in sentences."""
        paused = (f"paused, {self.state.reason}",) if self.state.word == PAUSED else ()
        silence = (self.silence,) if self.silence else ()
        return (*paused, *silence, *self.verdict.reasons)

    @property
    def bad_word(self) -> str:
        """What the bad requests of the arms did."""
        return "differ" if self.step.shadow else "failed"

    @property
    def sentence(self) -> str:
        """The look in one line."""
        counted = ", ".join(
            f"{arm} {rate.bad:,} of {rate.requests:,} {self.bad_word} ({percentage(rate.value)})"
            for arm, rate in self.arms.items()
        )
        return (
            f"{self.state.word}, {self.step.title(self.state.plan)}: {counted}; "
            f"{self.verdict.decision}: {'; '.join(self.reasons)}"
        )

    def as_document(self) -> dict[str, Any]:
        """Return the look as plain data."""
        return {
            "at": self.at.isoformat(timespec="seconds"),
            "model": self.state.model.name,
            "version": self.state.version,
            "production": self.step.production,
            "state": self.state.word,
            "arm": self.step.alias,
            "percent": self.step.percent,
            "step": self.step.title(self.state.plan),
            "since": self.step.since.isoformat(timespec="seconds"),
            "servers": len(self.state.servers),
            "arms": {
                arm: {"requests": rate.requests, "bad": rate.bad} for arm, rate in self.arms.items()
            },
            "decision": self.verdict.decision,
            "reasons": list(self.reasons),
            "evidence_run_id": self.state.run_id,
        }


def take_look(state: RolloutState, step: Step, now: datetime) -> Look:
    """Judge a step by the counts of all servers."""
    if step.shadow:
        verdict = judge_shadow(state.plan, state.counts)
    else:
        minutes = (now - step.since) / timedelta(minutes=1)
        verdict = judge_step(state.plan, state.counts, step.percent, minutes)
    return Look(now, state, step, verdict)
