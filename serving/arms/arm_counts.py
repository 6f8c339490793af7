"""What one server counts of both arms, and whether that is enough to abort the canary. Pure."""

import math
from collections.abc import Collection
from typing import Any

from cloche.rollout.assignment import position
from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.guardrails import abort_evidence, failures_to_abort
from cloche.rollout.plan import Plan
from cloche.rollout.recent_keys import RecentKeys
from cloche.rollout.verdict import one_of
from cloche.serving.arms.routing_key import may_return
from cloche.serving.arms.slow_limit import SlowLimit

_ARMS: tuple[Arm, ...] = ("canary", "production")
_ONE_LOSS_SECONDS = 0.5  # requests that are lost within this time were lost with the same hosts
_MOST_CALLERS = 10_000  # that are counted at a share
_FEW_CALLERS, _MANY_REQUESTS = 20, 1000  # of which a share is coarse


class ArmCounts:
    """The requests and failures of both arms since the canary began.

    A failure event is the first failure of a caller, who keeps its arm, or the loss of a host
    however many requests it had.

    Attributes:
        total: What adds up with what other servers count. Of callers that may reach several
            servers, each is counted by one.
        plan: The plan of the rollout, whose limit aborts.
        server: The name of this server.
        servers: The names of all servers that count, as the registry has them. Each may abort, by
            all callers of its own.
    """

    def __init__(self, plan: Plan) -> None:
        self.total = RolloutCounts()
        self.plan = plan
        self.server = ""
        self.servers: Collection[str] = ()
        self._counted_elsewhere = RolloutCounts()  # callers, and their failures
        self._slow = None if plan.slow is None else SlowLimit(plan.slow.quantile)
        self._failed = RecentKeys()
        self._callers = RecentKeys()
        self._callers_percent = -1.0  # the share at which these callers are counted
        self._counts_callers = True
        self._lost_at = {"canary": -math.inf, "production": -math.inf}

    def add_request(
        self, arm: Arm, percent: float, key: bytes, now: float, seconds: float | None = None
    ) -> None:
        """Count a request of an arm's callers.

        Args:
            arm: The arm to which the caller belongs.
            percent: The share of the canary.
            key: The routing key of the request.
            now: The time in seconds on a clock that never goes back.
            seconds: The time that the arm took; None if it was not asked.
        """
        self.total.count(percent, arm, "requests")
        slow = None if self._slow is None or seconds is None else self._slow.is_slow(arm, seconds)
        if slow is not False:
            self.total.count(percent, arm, "slow" if slow else "untimed")
        self.add_caller(arm, percent, key, now)

    def add_caller(self, arm: Arm, percent: float, key: bytes, now: float) -> None:
        """Count a caller, unless it was counted at this share, or enough were."""
        if percent != self._callers_percent:
            self._callers_percent, self._callers = percent, RecentKeys()
            self._counts_callers = not self._of_both(percent, "callers")  # counted there before
        if self._counts_callers and self._callers.is_first(key, now):
            self._count_once("callers", arm, percent, key)
            self._counts_callers = self._of_both(percent, "callers") < _MOST_CALLERS

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
        """Count a caller that has failed, unless it was counted; return as `add_failure`."""
        if not self._failed.is_first(key, now):
            return ""
        self._count_once("failure_events", arm, percent, key)
        evidence = abort_evidence(self.plan, self._own, self._looking_servers)
        return evidence.sentence if evidence.proven else ""

    def describe(self, percent: float) -> dict[str, Any]:
        """What `/readyz` tells of the counts, while the canary has this share."""
        own = self._own
        failed = own.sum("canary", "failure_events")
        evidence = abort_evidence(self.plan, own, self._looking_servers)
        more = failures_to_abort(self.plan, own, percent, self._looking_servers)
        return {
            "counts": {
                arm: {what: own.sum(arm, what) for what in ("requests", "failures")}
                for arm in _ARMS
            },
            "abort": None if more is None else {
                "failures": failed, "at": failed + more, "one_of": one_of(evidence.log_e),
                "limit": one_of(evidence.log_limit),
            },
            "warning": self._warning(percent) or None,
        }  # fmt: skip

    def _warning(self, percent: float) -> str:
        requests, callers = (self._of_both(percent, what) for what in ("requests", "callers"))
        if requests < _MANY_REQUESTS or callers >= _FEW_CALLERS:
            return ""
        return (
            f"{requests:,} requests came from {callers} callers, who are not divided, so the "
            "canary's share is coarse. Have clients send the header X-Routing-Key, such as a hash "
            "of the user."
        )

    def _count_once(self, what: Counted, arm: Arm, percent: float, key: bytes) -> None:
        """Count a caller or its failure, here or only for the verdict of this server.

        The servers divide the callers that may return among them, by highest random weight
        (rendezvous hashing). A server takes part once the registry names it.
        """
        here = not may_return(key) or (
            self.server in self.servers
            and self.server == max(self.servers, key=lambda server: position(server, "", key))
        )
        (self.total if here else self._counted_elsewhere).count(percent, arm, what)

    @property
    def _own(self) -> RolloutCounts:
        """All that this server has counted."""
        return self.total + self._counted_elsewhere

    @property
    def _looking_servers(self) -> int:
        return len({self.server, *self.servers})

    def _of_both(self, percent: float, what: Counted) -> int:
        counted = (self.total, self._counted_elsewhere)
        return sum(one.of(percent, arm, what) for one in counted for arm in _ARMS)
