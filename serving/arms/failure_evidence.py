"""The evidence of one server that a canary fails more often than production. Pure."""

import math

from cloche.rollout.abort import AbortEvidence
from cloche.rollout.recent_keys import RecentKeys

_ALPHA = 0.005  # the chance of a false abort, of which the driver of a rollout has as much
_FEWEST_FAILURES = 3  # of the canary, below which nothing aborts
_ONE_LOSS_SECONDS = 0.5  # requests that are lost within this time were lost with the same hosts


class FailureEvidence:
    """The failures of both arms so far: one for each caller and minute, or for each lost host."""

    def __init__(self) -> None:
        self._evidence = AbortEvidence()
        self._recent = RecentKeys()
        self._lost_at = {True: -math.inf, False: -math.inf}
        self._failures = {True: 0, False: 0}

    def add(
        self, key: bytes, now: float, *, canary: bool, percent: float, lost: bool = False
    ) -> str:
        """Add a failure, and return why the canary is to be aborted; empty if it is not.

        Args:
            key: The routing key of the request.
            now: The time in seconds on a clock that never goes back.
            canary: Whether it is a failure of the canary, and not of production.
            percent: The share of the canary.
            lost: Whether the host was lost, perhaps with other requests.
        """
        if lost:
            if now - self._lost_at[canary] < _ONE_LOSS_SECONDS:
                return ""
            self._lost_at[canary] = now
        if not self._recent.is_first(key, now):
            return ""
        self._failures[canary] += 1
        self._evidence.add(percent, **{"canary" if canary else "production": 1})
        if self._failures[True] < _FEWEST_FAILURES or self._evidence.log_e < -math.log(_ALPHA):
            return ""
        return (
            f"it failed {self._failures[True]} callers at a share of {percent:g} %, and production "
            f"failed {self._failures[False]}"
        )
