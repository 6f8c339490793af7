"""The pool of one version: its replicas, the queue before them, and the batches in between.

A version pool starts as a whole and serves until it is closed. It knows nothing of HTTP, aliases or
other versions.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cloche.serving.dispatch.broken_host_check import BrokenHostCheck
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.replica import Replica
from cloche.serving.dispatch.replicas import Replicas
from cloche.serving.dispatch.served_pool import Successor
from cloche.serving.errors import HostFailed, HostSilent
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.frames import Result
from cloche.serving.queue.batching_queue import Queue
from cloche.serving.queue.prediction_request import (
    CUT_OFF,
    EXPIRED,
    HOST_LOST,
    NOT_REPEATED,
    STOPPED,
    PredictionRequest,
)
from cloche.serving.registry.resolved_version import ResolvedVersion

_FAILED = 400
_MAX_ATTEMPTS = 2  # the second one on another host


class VersionPool:
    """The replicas of one version, and the queue before them.

    Attributes:
        retry: Whether a request whose host was lost is given to another host.
    """

    def __init__(
        self,
        model: str,
        version: str,
        path: Path,
        *,
        settings: PoolSettings,
        metrics: Metrics,
        spawn: Callable[[], Awaitable[Replica]],
        retry: bool = True,
    ) -> None:
        self.model = model
        self.version = version
        self.retry = retry
        label = {"model": model, "version": version}
        self._settings = settings
        self._queue: Queue[PredictionRequest] = Queue(settings.queue, settings.batches)
        self._replicas = Replicas(
            label, path, settings=settings, metrics=metrics, spawn=spawn, idle=self._dispatch
        )
        # the batch that each busy replica scores; empty while it is checked
        self._running: dict[Replica, Sequence[PredictionRequest]] = {}
        self._finished: asyncio.Future[None] | None = None
        self._skips_waiting = self._closed = self._held = False
        self._wait_timer: asyncio.TimerHandle | None = None
        self._scheduled_dispatch: asyncio.Handle | None = None
        self._batch_seconds = 0.0
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._rows = metrics.rows.labels(**label)
        self._accelerated_rows = metrics.accelerated_rows.labels(**label)
        self._batch_rows = metrics.batch_rows.labels(**label)
        self._predict_seconds = metrics.predict_seconds.labels(**label)
        self._queue_seconds = metrics.queue_seconds.labels(**label)
        self._retries = metrics.retries.labels(model)

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        """Set `retry` as the registry has it now."""
        self.retry = resolved.retry

    @property
    def description(self) -> dict[str, Any]:
        """The hosts' description of the version."""
        return self._replicas.description

    @property
    def ready(self) -> bool:
        """Whether at least one replica is warm."""
        return bool(self._replicas)

    @property
    def queued(self) -> int:
        """The number of requests that wait for a replica."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether a replica waits for a request."""
        return self._replicas.has_idle and not self._queue

    @property
    def losses(self) -> int:
        """The number of hosts that were lost."""
        return self._replicas.losses

    @property
    def replicas(self) -> int:
        """The number of hosts that are loaded and warm."""
        return len(self._replicas)

    @property
    def seconds_to_drain(self) -> float:
        """An estimate of the seconds until all requests that wait now are scored."""
        batches = 1 + self._queue.rows / self._settings.batches.rows
        return batches * self._batch_seconds / max(1, len(self._replicas))

    async def start(self, *, another_serves: bool = True) -> None:
        """Load every replica, unless it is loaded; see `Replicas.start`.

        Raises:
            HostFailed: A replica cannot load the version; the others are ended.
        """
        if not self.description:
            await self._replicas.start(another_serves=another_serves)

    async def start_beside(self) -> None:
        """Load every replica, while another version serves.

        Raises:
            HostFailed: A replica cannot load the version; the others are ended.
        """
        await self.start()

    async def complete(self) -> None:
        """Wait until every replica has loaded its model as well.

        Raises:
            HostFailed: A replica cannot load the model.
        """
        await self._replicas.complete()

    def has_room(self, request: PredictionRequest) -> bool:
        """Whether `submit` would queue a request now."""
        return self._queue.has_room(request)

    def submit(self, request: PredictionRequest) -> bool:
        """Queue a request; False when the queue is full."""
        if not self._queue.offer(request):
            self._queue.remove(
                PredictionRequest.unwanted
            )  # requests without a waiting client must not keep others out
            if not self._queue.offer(request):
                return False
        self._dispatch_soon()
        return True

    def forward(self, request: PredictionRequest) -> None:
        """Queue a request of the stage before, whatever the limits."""
        self._queue.append(request)
        self._dispatch_soon()

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests that waited for another version pool."""
        self._queue.put_back(requests)
        self._dispatch()

    def pause(self) -> None:
        """Keep requests queued until `resume`: workers may still answer by an older version."""
        self._held = True

    def resume(self) -> None:
        """Give the requests that waited since `pause` to the replicas."""
        self._held = False
        self._dispatch()

    def release(self) -> list[PredictionRequest]:
        """Remove and return all requests that still wait."""
        return self._queue.remove(lambda _: True)

    async def close(self, find_successor: Callable[[], Successor | None]) -> None:
        """Finish running batches, for at most the time limit of a prediction, and end the hosts.

        Args:
            find_successor: Returns the version pool that serves by then. It takes over requests
                that are left because a host was lost meanwhile.
        """
        self._replicas.stop_replacing()
        if self._running and not self._skips_waiting:
            self._finished = self._loop.create_future()
            await asyncio.wait([self._finished])
        successor = find_successor()
        if successor is not None:
            successor.adopt(self.release())
        self._closed = True
        for request in self.release():
            request.end(STOPPED)
        for request in itertools.chain(*self._running.values()):
            request.end(STOPPED if self.retry else NOT_REPEATED)
        await self._replicas.close()

    def stop_waiting(self) -> None:
        """Make `close` end at once, because no client waits for answers any more."""
        self._skips_waiting = True
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _dispatch(self) -> None:
        while self._replicas.has_idle and len(self._queue) and not self._held:
            now = self._loop.time()
            batch = [one for one in self._queue.next_batch(now) if not one.unwanted()]
            if batch:
                self._start_batch(self._replicas.take(), batch)
            elif (wait_until := self._queue.wait_until(now)) is not None:
                if self._wait_timer is None:
                    self._wait_timer = self._loop.call_at(wait_until, self._end_wait)
                return

    def _start_batch(self, replica: Replica, batch: Sequence[PredictionRequest]) -> None:
        now = self._loop.time()
        for request in batch:
            request.note_sent(now)
            self._queue_seconds.observe(now - request.arrived)
            if (note := request.item.log) is not None:
                note.attempt = request.attempts - note.before
                note.queue_us = int((now - request.arrived) * 1e6)
        self._running[replica] = batch
        replica.score(
            [one.item for one in batch],
            self._settings.predict_timeout,
            partial(self._receive_result, replica),
        )

    def _receive_result(self, replica: Replica, result: Result | HostFailed) -> None:
        if self._closed:
            return
        batch = self._running.pop(replica)
        if isinstance(result, HostFailed):
            self._replicas.lose(replica, result)
            self._end_or_retry(batch, result)
            self._dispatch()
        else:
            self._give_back_or_check(replica, result)
            self._dispatch()  # before the answers, so that the host works while they are written
            for request, answer in zip(batch, result.answers, strict=True):
                request.answer(answer, self.version)
            self._observe(result)
        self._notify_finished()

    def _give_back_or_check(self, replica: Replica, result: Result) -> None:
        """Return a replica to the pool, or check it first if it has failed too many requests."""
        if failed := [answer for answer in result.answers if answer.status >= _FAILED]:
            replica.broken_check = replica.broken_check.after(len(failed))
            if replica.broken_check.is_due(began := self._loop.time()):
                self._running[replica] = ()
                replica.check(
                    self._settings.predict_timeout, partial(self._receive_check, replica, began)
                )
                return
        self._replicas.give_back(replica)

    def _receive_check(self, replica: Replica, began: float, result: Result | HostFailed) -> None:
        if isinstance(result, HostFailed):
            self._receive_result(replica, result)
        elif not self._closed:
            del self._running[replica]
            now = self._loop.time()
            replica.broken_check = BrokenHostCheck.settled(now, now - began)
            self._replicas.give_back(replica)
            self._dispatch()
            self._notify_finished()

    def _notify_finished(self) -> None:
        """Let `close` continue when no host works any more."""
        if self._finished is not None and not self._running and not self._finished.done():
            self._finished.set_result(None)

    def _dispatch_soon(self) -> None:
        """Dispatch now if it is worth a batch, else when the requests that came were read."""
        if not self._replicas.has_idle:
            return
        if self._queue.worth_a_batch:
            self._dispatch()
        elif self._scheduled_dispatch is None:
            self._scheduled_dispatch = self._loop.call_soon(self._run_scheduled_dispatch)

    def _run_scheduled_dispatch(self) -> None:
        self._scheduled_dispatch = None
        self._dispatch()

    def _end_wait(self) -> None:
        self._wait_timer = None
        self._dispatch()

    def _observe(self, result: Result) -> None:
        rows = sum(answer.rows for answer in result.answers)
        self._rows.inc(rows)
        if result.accelerated_rows:
            self._accelerated_rows.inc(result.accelerated_rows)
        self._batch_rows.observe(rows)
        self._predict_seconds.observe(result.predict_seconds)
        self._batch_seconds = result.total_seconds
        if result.logged is not None:
            self._metrics.count_logged(self.model, self.version, result.logged)

    def _end_or_retry(self, batch: Sequence[PredictionRequest], error: HostFailed) -> None:
        """Give requests of a lost host to another one, each alone in a batch, or end them.

        One of them may have caused the loss. Requests that took too long are not repeated: they
        would take too long again, and the model may have done its work, with all its effects.
        """
        retried = []
        for request in batch:
            if request.unwanted():
                continue
            if isinstance(error, HostSilent):
                request.end(CUT_OFF)
            elif not self.retry:
                request.end(NOT_REPEATED)
            elif request.attempts >= _MAX_ATTEMPTS:
                request.end(HOST_LOST)
            elif request.deadline <= self._loop.time():
                request.end(EXPIRED)
            else:
                request.alone = True
                retried.append(request)
        self._retries.inc(len(retried))
        self._queue.put_back(retried)
