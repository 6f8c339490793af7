"""What one worker counts of both arms, for its parent to add up."""

import asyncio
from collections.abc import Callable

from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.plan import Plan
from cloche.serving.arms.arm_counts import ArmCounts

_SECONDS = 1.0  # until something that was counted is sent
_FAILURE_SECONDS = 0.02  # until a failure is sent, with all that was counted


class CountsForParent(ArmCounts):
    """The counts of one worker, which are sent to its parent soon.

    A caller may reach several workers and counts once, so callers are sent by their keys.

    Attributes:
        name: The name under which the parent adds them up.
    """

    def __init__(self, name: str, plan: Plan, send: Callable[..., None]) -> None:
        """Have nothing counted; `send` is called with the name and what was counted since."""
        super().__init__(plan)
        self.name = name
        self._send = send
        self._callers_to_send: list[tuple[Counted, Arm, float, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def add_request(
        self, arm: Arm, percent: float, key: bytes, now: float, seconds: float | None = None
    ) -> None:
        """Count a request of an arm's callers."""
        super().add_request(arm, percent, key, now, seconds)
        if self._timer is None:
            self._send_within(_SECONDS)

    def add_failure(
        self, arm: Arm, percent: float, key: bytes, now: float, *, lost: bool = False
    ) -> str:
        """Count a failure; the parent judges it."""
        super().add_failure(arm, percent, key, now, lost=lost)
        self._send_within(_FAILURE_SECONDS)
        return ""

    def flush(self) -> None:
        """Send what was counted since the last time."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        counts, self.total = self.total, RolloutCounts()
        callers, self._callers_to_send = self._callers_to_send, []
        self._send(counting=self.name, counts=counts.as_json(), callers=callers)

    def _count_once(self, what: Counted, arm: Arm, percent: float, key: bytes) -> None:
        self._counted_elsewhere.count(percent, arm, what)  # by the parent
        self._callers_to_send.append((what, arm, percent, key.decode("latin-1")))

    def _send_within(self, seconds: float) -> None:
        at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self.flush)
