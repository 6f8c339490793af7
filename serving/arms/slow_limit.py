"""How long production takes when a canary begins, beyond which an answer is slow. Pure."""

import math

from cloche.rollout.counts import Arm

_SLOW_REQUESTS = 10  # of those that the limit is taken from, above it
_MOST_REQUESTS = 10_000


class SlowLimit:
    """A quantile of production's times, of its first requests beside the canary.

    The limit is the same for both arms, so it need not be exact. The requests that it is taken from
    are not judged by it: by definition, production has its share of slow ones among them.
    """

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._requests = min(round(_SLOW_REQUESTS / (1 - quantile)), _MOST_REQUESTS)
        self._first: list[float] = []
        self._seconds: float | None = None

    def is_slow(self, arm: Arm, seconds: float) -> bool | None:
        """Return whether a request that took so long was slow; None while the limit is unknown."""
        if self._seconds is not None:
            return seconds > self._seconds
        if arm == "production":
            self._first.append(seconds)
            if len(self._first) >= self._requests:
                position = math.ceil(self._quantile * self._requests) - 1
                self._seconds = sorted(self._first)[position]
                self._first.clear()
        return None
