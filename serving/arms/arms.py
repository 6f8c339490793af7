"""The requests of a model with a canary: who gets it, and what follows if it fails them."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from cloche.rollout.assignment import takes_canary
from cloche.rollout.counts import Arm
from cloche.rollout.server_counts import ServerCounts
from cloche.serving.arms.arm_counts import ArmCounts
from cloche.serving.arms.arm_requests import (
    CANARY,
    LOST,
    PRODUCTION,
    CanaryAttempt,
    ProductionReceiver,
    item_for_arm,
)
from cloche.serving.arms.routing_key import caller_of, routing_key
from cloche.serving.dispatch.served_pool import RequestPool, RequestTaker, ServedPool
from cloche.serving.observability.metrics import Metrics
from cloche.serving.queue.prediction_request import STOPPED, PredictionRequest


class Arms:
    """Production and a canary, while the canary takes requests.

    Attributes:
        pool: The version pool of the canary.
        percent: The share of the callers whose requests the canary answers.
        counts: What is counted of both arms.
    """

    def __init__(
        self, model: str, pool: RequestPool, percent: float, counts: ArmCounts, metrics: Metrics, *,
        production: Callable[[], ServedPool | None], abort: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Begin to count.

        Args:
            model: The name of the registered model.
            pool: The version pool of the canary, which is warm.
            percent: The share of the canary.
            counts: Of the canary; nothing is counted yet.
            metrics: The metrics of the server.
            production: Returns the version pool that serves; None while none does.
            abort: Called once, with the reason, when the canary has failed enough.
        """
        self.pool: RequestPool = pool
        self.counts = counts
        self.percent = percent
        self._model = model
        self._production = production
        self._abort: Callable[[str], None] | None = abort
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()

    @property
    def version(self) -> str:
        """The version of the canary."""
        return self.pool.version

    @property
    def may_repeat(self) -> bool:
        """Whether production may be asked what the canary was asked already."""
        return self.pool.retry

    def find(self, reference: str) -> RequestPool | None:
        """Return the version pool of the canary, by its version or by its alias after an `@`."""
        return self.pool if reference in (f"@{CANARY}", self.version) else None

    def submit(
        self, request: PredictionRequest, pool: RequestTaker, *,
        headers: Iterable[tuple[bytes, bytes]], request_id: bytes, by_name: bool,
    ) -> bool:  # fmt: skip
        """Queue a request for one of the arms; False when the queue is full."""
        if by_name:
            arm = CANARY if pool is self.pool else PRODUCTION
            request.arm = arm.encode()
            request.item = item_for_arm(request.item, arm)
            return pool.submit(request)
        key = routing_key(headers, request_id)
        caller = caller_of(key, request_id)
        request.arm = PRODUCTION.encode()
        if self.percent and takes_canary(self._model, self.version, key, self.percent):
            if self.pool.ready:
                attempt = CanaryAttempt(self, caller, request)
                if self.pool.submit(attempt.request):
                    return True
                attempt.withdraw()
            self._count_request(CANARY, caller, self._loop.time())
            self._count_fallback("queue full" if self.pool.ready else "no host")
        else:
            now = self._loop.time()
            request.item = request.item._replace(mark_failures=True)
            request.receiver = ProductionReceiver(self, caller, request.receiver, now)
        return pool.submit(request)

    def counted(self) -> ServerCounts:
        """Return the counts and the share, for the registry."""
        return ServerCounts(self.counts.total, percent=self.percent)

    def describe(self) -> dict[str, Any]:
        """Return the counts for `/readyz`."""
        return self.counts.describe(self.percent)

    def end(self) -> None:
        """Let nothing that is still being answered abort the canary: it has ended."""
        self._abort = None

    def give_back(self) -> None:
        """Have production answer what waits for the canary."""
        for request in self.pool.release():
            if isinstance(request.receiver, CanaryAttempt):
                request.receiver.give_back()
            elif (production := self._production()) is not None:
                production.adopt([request])
            else:
                request.end(STOPPED)

    def fall_back(self, request: PredictionRequest, reason: str) -> None:
        """Have production answer a request, whatever waits there already."""
        self._count_fallback(reason)
        if (production := self._production()) is not None:
            production.adopt([request])
        else:
            request.end(STOPPED)

    def count(self, arm: Arm, key: bytes, failure: str, started: float) -> None:
        """Count a request that an arm has ended, and abort the canary if it failed too often.

        Args:
            arm: The arm to which the caller belongs.
            key: The routing key of the request.
            failure: The reason why it is a failure of the arm; empty for none.
            started: The time at which the arm got the request, on the loop's clock.
        """
        now = self._loop.time()
        label = self._count_request(arm, key, now, now - started)
        self._metrics.arm_seconds.labels(*label).observe(now - started)
        if not failure:
            return
        self._metrics.arm_failures.labels(*label, failure).inc()
        reason = self.counts.add_failure(arm, self.percent, key, now, lost=failure == LOST)
        if reason and self._abort is not None:
            self._abort(reason)

    def _count_request(
        self, arm: Arm, key: bytes, now: float, seconds: float | None = None
    ) -> tuple[str, str, str]:
        """Count a request of an arm's callers, and return the labels of the arm's metrics."""
        pool = self.pool if arm == CANARY else self._production()
        label = (self._model, pool.version if pool is not None else "", arm)
        self._metrics.arm_requests.labels(*label).inc()
        self.counts.add_request(arm, self.percent, key, now, seconds)
        return label

    def _count_fallback(self, reason: str) -> None:
        self._metrics.canary_fallbacks.labels(self._model, self.version, reason).inc()
