"""What one worker counts of the arms of a model, for its parent to add up."""

import asyncio
from collections.abc import Callable
from typing import Any

from cloche.rollout.counts import Arm, Counted, RolloutCounts
from cloche.rollout.plan import Plan
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.shadow_copies import CopyArm, ShadowCopies

_SECONDS = 1.0  # until something that was counted is sent
_FAILURE_SECONDS = 0.02  # until a failure is sent, with all that was counted


class _SendTimer:
    """Calls `send` once when time is over, until it is set again."""

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def set(self, seconds: float) -> None:
        """Have `flush` called within so many seconds."""
        at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self.flush)

    @property
    def is_set(self) -> bool:
        """Whether `flush` will be called."""
        return self._timer is not None

    def flush(self) -> None:
        """Call `send` now, if it would be called later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._send()


class CountsForParent(ArmCounts):
    """The counts of one worker beside a canary, which are sent to its parent soon.

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
        self._timer = _SendTimer(self._send_counts)
        self.flush = self._timer.flush

    def add_request(
        self, arm: Arm, percent: float, key: bytes, now: float, seconds: float | None = None
    ) -> None:
        """Count a request of an arm's callers."""
        super().add_request(arm, percent, key, now, seconds)
        if not self._timer.is_set:
            self._timer.set(_SECONDS)

    def add_failure(
        self, arm: Arm, percent: float, key: bytes, now: float, *, lost: bool = False
    ) -> str:
        """Count a failure; the parent judges it."""
        super().add_failure(arm, percent, key, now, lost=lost)
        self._timer.set(_FAILURE_SECONDS)
        return ""

    def _send_counts(self) -> None:
        counts, self.total = self.total, RolloutCounts()
        callers, self._callers_to_send = self._callers_to_send, []
        self._send(counting=self.name, counts=counts.as_json(), callers=callers)

    def _count_once(self, what: Counted, arm: Arm, percent: float, key: bytes) -> None:
        self._counted_elsewhere.count(percent, arm, what)  # by the parent
        self._callers_to_send.append((what, arm, percent, key.decode("latin-1")))


class CopiesForParent(ShadowCopies):
    """The copies of one worker, which sends its parent soon what it has compared.

    Attributes:
        name: The name under which the parent adds up.
    """

    def __init__(self, name: str, send: Callable[..., None], *arguments: Any, **hooks: Any) -> None:
        """Begin to count; `send` is called with the name and what was counted since.

        The other arguments are those of `ShadowCopies`.
        """
        super().__init__(*arguments, **hooks)
        self.name = name
        self._send = send
        self._told_losses = self.pool.losses
        self._timer = _SendTimer(self._send_counts)
        self.flush = self._timer.flush

    def count(self, arm: CopyArm, reason: str, started: float, *, differs: bool) -> None:
        """Count what an arm made of a copy."""
        super().count(arm, reason, started, differs=differs)
        if not self._timer.is_set:
            self._timer.set(_SECONDS)

    def _send_counts(self) -> None:
        counts, self._counts = self._counts, RolloutCounts()
        before, self._told_losses = self._told_losses, self.pool.losses
        losses = self._told_losses - before
        self._send(counting=self.name, counts=counts.as_json(), losses=losses)
