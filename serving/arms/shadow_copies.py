"""Copies of production's requests: who gets them, and what becomes of them.

A client has its answer before its request is copied, and nothing that happens to a copy reaches the
client. The host of the shadow compares its answer with production's, so that this process reads
neither.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

from cloche.rollout.assignment import position
from cloche.rollout.counts import RolloutCounts
from cloche.rollout.registry_keys import SHADOW
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.arm_requests import ENDINGS, LOST, failure, item_for_arm
from cloche.serving.dispatch.served_pool import Arms, RequestPool, RequestTaker
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import DIFFERS, Answer, Expected, Item
from cloche.serving.queue.prediction_request import (
    STOPPED,
    AnswerReceiver,
    PredictionRequest,
    RequestEnded,
)

_OK = 200
_BASELINE_PART = 0.1  # of the share, in which production is asked again instead of the shadow
_ONE_LOSS_SECONDS = 0.5  # copies that are lost within this time were lost with the same host

CopyArm = Literal["shadow", "baseline"]


class ShadowCopies:
    """Gives copies of production's requests to a shadow, and a few to production again.

    Attributes:
        pool: The version pool of the shadow.
        percent: The share of the requests that are copied.
        tolerance: The relative difference up to which two numbers are equal.
        canary: What the requests pass through next, if there is a canary as well. Its own requests
            are not copied.
        ended: Whether the shadow takes no more copies.
    """

    def __init__(
        self, model: str, pool: RequestPool, percent: float, tolerance: float, metrics: Metrics, *,
        production: Callable[[], RequestPool | None],
    ) -> None:  # fmt: skip
        """Begin to count.

        Args:
            model: The name of the registered model.
            pool: The version pool of the shadow, which is warm.
            percent: The share of the shadow.
            tolerance: The relative difference up to which two numbers are equal.
            metrics: The metrics of the server.
            production: Returns the version pool that serves; None while none does.
        """
        self.pool: RequestPool = pool
        self.percent = percent
        self.tolerance = tolerance
        self.canary: Arms | None = None
        self.ended = False
        self._counts = RolloutCounts()
        self._model = model
        self._salt = f"shadow {pool.version}"  # its callers are not those of a canary
        self._metrics = metrics
        self._production = production
        self._lost_at = -math.inf
        self._loop = asyncio.get_running_loop()

    def find(self, reference: str) -> RequestPool | None:
        """Return the version pool of an arm, by its version or by its alias after an `@`."""
        if reference in (f"@{SHADOW}", self.pool.version):
            return self.pool
        return self.canary.find(reference) if self.canary is not None else None

    def submit(
        self, request: PredictionRequest, pool: RequestTaker, *,
        headers: Iterable[tuple[bytes, bytes]], request_id: bytes, by_name: bool,
    ) -> bool:  # fmt: skip
        """Queue a request, whose copy goes to the shadow later; False when the queue is full."""
        if by_name and pool is self.pool:
            request.arm = SHADOW.encode()
            request.item = item_for_arm(request.item, SHADOW)
            return pool.submit(request)
        if not by_name and (place := position(self._model, self._salt, request_id)) < self.percent:
            again = place < self.percent * _BASELINE_PART
            pool = _CopiedRequest(self, pool, "baseline" if again else "shadow")
        if self.canary is None:
            return pool.submit(request)
        return self.canary.submit(
            request, pool, headers=headers, request_id=request_id, by_name=by_name
        )

    def end(self) -> None:
        """Let nobody wait for copies any more."""
        self.ended = True

    def give_back(self) -> None:
        """Drop the copies that wait, and have production answer what named the shadow."""
        waiting = [one for one in self.pool.release() if not one.unwanted()]
        if (production := self._production()) is not None:
            production.adopt(waiting)
        else:
            for request in waiting:
                request.end(STOPPED)

    def counted(self) -> ServerCounts:
        """Return the counts and the share, for the registry."""
        return ServerCounts(self._counts, shadow_percent=self.percent)

    def copy(self, arm: CopyArm, item: Item, rows: int, answer: Answer) -> None:
        """Ask an arm what production has answered, unless that would delay anybody."""
        pool = self.pool if arm == SHADOW else self._production()
        if self.ended or pool is None:
            return
        now = self._loop.time()
        expected = Expected(answer.body, answer.json_size, self.tolerance)
        request = PredictionRequest(
            rows=rows, size=len(item.body) + len(answer.body), arrived=now, deadline=math.inf,
            item=item_for_arm(item, arm, before=1, mark_failures=True, expected=expected),
            receiver=_CopyReceiver(self, arm, now), client_left=lambda: False,
            attempts=1,  # so that the loss of its host ends it
        )  # fmt: skip
        if arm == SHADOW:
            if not (self.pool.ready and self.pool.has_room(request) and self.pool.submit(request)):
                self._drop("queue full" if self.pool.ready else "no host")
        elif pool.retry and pool.idle:
            pool.submit(request)

    def count(self, arm: CopyArm, reason: str, started: float, *, differs: bool) -> None:
        """Count what an arm made of a copy.

        Args:
            arm: The arm that was asked.
            reason: The reason why its answer is a failure; empty for none.
            started: The time at which it was asked, on the loop's clock.
            differs: Whether it answered otherwise than production, also by a failure.
        """
        now = self._loop.time()
        if reason in (LOST, "timeout"):
            if now - self._lost_at < _ONE_LOSS_SECONDS:
                self._drop(reason)
                return
            self._lost_at = now
        pool = self.pool if arm == SHADOW else self._production()
        label = (self._model, pool.version if pool is not None else "", arm)
        self._metrics.arm_requests.labels(*label).inc()
        self._metrics.arm_seconds.labels(*label).observe(now - started)
        self._counts.count(0.0, arm, "requests")
        if reason:
            self._metrics.arm_failures.labels(*label, reason).inc()
            self._counts.count(0.0, arm, "failures")
        if differs:
            self._metrics.arm_differences.labels(*label).inc()
            self._counts.count(0.0, arm, "differences")

    def describe(self) -> dict[str, Any]:
        """The numbers for `/readyz`: compared answers of the shadow, and of production itself."""
        shadow, baseline = (
            {
                "compared": self._counts.sum(arm, "requests"),
                "differences": self._counts.sum(arm, "differences"),
            }
            for arm in ("shadow", "baseline")
        )
        return shadow | {"baseline": baseline}

    def _drop(self, reason: str) -> None:
        self._metrics.shadow_dropped.labels(self._model, self.pool.version, reason).inc()


def combined_arms(canary: Arms | None, shadow: ShadowCopies | None) -> Arms | None:
    """Return what requests pass through beside a canary, a shadow, or both; None beside neither."""
    if shadow is None:
        return canary
    shadow.canary = canary
    return shadow


class _CopiedRequest:
    """A request of production that is to be copied: passes it on, and then its answer."""

    __slots__ = ("_arm", "_copies", "_item", "_pool", "_receiver", "_rows")

    def __init__(self, copies: ShadowCopies, pool: RequestTaker, arm: CopyArm) -> None:
        self._copies = copies
        self._pool = pool
        self._arm: CopyArm = arm

    def submit(self, request: PredictionRequest) -> bool:
        """Queue the request; False when the queue is full."""
        self._item, self._rows = request.item, request.rows
        self._receiver: AnswerReceiver = request.receiver
        request.receiver = self
        return self._pool.submit(request)

    def done(self) -> bool:
        """Whether the request has ended."""
        return self._receiver.done()

    def set_result(self, answer: Answer) -> None:
        """Answer the client, and then copy the request unless it was refused."""
        self._receiver.set_result(answer)
        if answer.status == _OK:
            asyncio.get_running_loop().call_soon(
                self._copies.copy, self._arm, self._item, self._rows, answer
            )

    def set_exception(self, ended: RequestEnded) -> None:
        """End the request without an answer of a host."""
        self._receiver.set_exception(ended)


class _CopyReceiver:
    """Receives what an arm made of a copy."""

    __slots__ = ("_arm", "_copies", "_done", "_started")

    def __init__(self, copies: ShadowCopies, arm: CopyArm, started: float) -> None:
        self._copies = copies
        self._arm: CopyArm = arm
        self._started = started
        self._done = False

    def done(self) -> bool:
        """Whether the copy has ended, or nobody waits for it any more."""
        return self._done or self._copies.ended

    def set_result(self, answer: Answer) -> None:
        """Count the answer of a host."""
        self._done = True
        reason = failure(answer)
        differs = bool(reason or answer.body_type & DIFFERS)
        self._copies.count(self._arm, reason, self._started, differs=differs)

    def set_exception(self, ended: RequestEnded) -> None:
        """Count a lost host, and a time-out; everything else is no fault of the arm."""
        self._done = True
        if reason := ENDINGS.get(ended.reason):
            self._copies.count(self._arm, reason, self._started, differs=True)
