"""What one server counts of both arms, and whether that is enough to abort the canary. Pure."""

import math

from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.guardrails import abort_evidence
from cloche.rollout.plan import Plan
from cloche.rollout.recent_keys import RecentKeys

_ONE_LOSS_SECONDS = 0.5  # requests that are lost within this time were lost with the same hosts


class ArmCounts:
    """The requests and failures of both arms since the canary began.

    An event is the first failure of a caller, who keeps its arm, or the loss of a host however many
    requests it had.
    """

    def __init__(self, plan: Plan) -> None:
        self.total = RolloutCounts()
        self.plan = plan
        self._recent = RecentKeys()
        self._lost_at = {"canary": -math.inf, "production": -math.inf}

    def add_request(self, arm: Arm, percent: float) -> None:
        """Count a request of an arm's callers, at a share of the canary in percent."""
        self.total.count(percent, arm, "requests")

    def add_failure(
        self, arm: Arm, percent: float, key: bytes, now: float, *, lost: bool = False
    ) -> str:
        """Count a failure, and return why the canary is to be aborted; empty if it is not.

        Args:
            arm: The arm that failed.
            percent: The share of the canary.
            key: The routing key of the request.
            now: The time in seconds on a clock that never goes back.
            lost: Whether the host was lost, perhaps with other requests.
        """
        self.total.count(percent, arm, "failures")
        if lost:
            if now - self._lost_at[arm] < _ONE_LOSS_SECONDS:
                return ""
            self._lost_at[arm] = now
        return self.add_failed_caller(arm, percent, key, now)

    def add_failed_caller(self, arm: Arm, percent: float, key: bytes, now: float) -> str:
        """Count the failure of a caller, unless it has failed before; return as `add_failure`."""
        if not self._recent.is_first(key, now):
            return ""
        self._count_once("failure_events", arm, percent, key)
        evidence = abort_evidence(self.plan, self.total, servers=1)
        return evidence.sentence if evidence.proven else ""

    def _count_once(self, what: Counted, arm: Arm, percent: float, _: bytes) -> None:
        self.total.count(percent, arm, what)
