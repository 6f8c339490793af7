"""One version at work: its replicas, the queue before them, and what replaces a lost replica.

A generation is started whole and serves until it is closed. It knows nothing of HTTP, aliases or
other versions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import HostFailed
from serving.front.metrics import Metrics
from serving.front.queue import BatchLimits, Queue, QueueLimits
from serving.front.replica import Replica
from serving.front.request import EXPIRED, HOST_LOST, STOPPED, Request
from serving.host.frames import Result

_MAX_ATTEMPTS = 2  # predictions are idempotent: once more, on another host
_RESTART_DELAYS = (0.0, 1.0, 5.0, 15.0)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many replicas a generation has, and what it allows them."""

    replicas: int
    load_timeout: float
    predict_timeout: float
    queue: QueueLimits
    batches: BatchLimits


class Generation:
    """The replicas of one version."""

    def __init__(
        self,
        model: str,
        version: str,
        path: Path,
        *,
        plan: Plan,
        metrics: Metrics,
        spawn: Callable[[], Awaitable[Replica]],
    ) -> None:
        self.model = model
        self.version = version
        self.description: dict[str, Any] = {}
        self._path = path
        self._plan = plan
        self._spawn = spawn
        self._queue: Queue[Request] = Queue(plan.queue, plan.batches)
        self._replicas: set[Replica] = set()
        self._idle: list[Replica] = []
        self._tasks: set[asyncio.Task[None]] = set()  # the loop alone would let them be collected
        self._running: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._closing = False
        self._failures = 0
        self._batch_seconds = 0.0
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._up = metrics.replicas.labels(model, version)
        self._lost = metrics.hosts_lost.labels(model, version)
        self._rows = metrics.rows.labels(model, version)
        self._batch_rows = metrics.batch_rows.labels(model, version)
        self._predict_seconds = metrics.predict_seconds.labels(model, version)
        self._queue_seconds = metrics.queue_seconds.labels(model, version)
        self._retries = metrics.retries.labels(model)

    @property
    def ready(self) -> bool:
        """Whether a warm replica is there."""
        return bool(self._replicas)

    @property
    def waiting(self) -> int:
        """Requests that wait for a replica."""
        return len(self._queue)

    @property
    def seconds_to_drain(self) -> float:
        """About how long those that wait now will wait."""
        batches = 1 + self._queue.rows / self._plan.batches.rows
        return batches * self._batch_seconds / max(1, len(self._replicas))

    async def start(self) -> None:
        """Load every replica.

        Raises:
            HostFailed: One of them cannot; the others are ended.
        """
        loads = [asyncio.create_task(self._load_one()) for _ in range(self._plan.replicas)]
        try:
            replicas = await asyncio.gather(*loads)
        except BaseException:
            for load in loads:
                load.cancel()
            done = await asyncio.gather(*loads, return_exceptions=True)
            await asyncio.gather(*(one.stop() for one in done if isinstance(one, Replica)))
            raise
        for replica in replicas:
            self._admit(replica)

    def submit(self, request: Request) -> bool:
        """Take a request; False when the queue is full."""
        if not self._queue.offer(request):
            self._queue.remove(
                Request.unwanted
            )  # those that nobody waits for must not keep others out
            if not self._queue.offer(request):
                return False
        self._dispatch()
        return True

    def adopt(self, requests: Sequence[Request]) -> None:
        """Take requests that waited for another generation."""
        self._queue.put_back(requests)
        self._dispatch()

    def release(self) -> list[Request]:
        """Give up all requests that still wait."""
        return self._queue.remove(lambda _: True)

    async def close(self, patience: float, successor: "Generation | None" = None) -> None:
        """Finish what runs, for at most `patience` seconds, then end the hosts.

        What is left over, because a host was lost meanwhile, goes to the `successor`.
        """
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
        if successor is not None:
            successor.adopt(self.release())
        for request in self.release():
            request.end(STOPPED)
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(
            *self._tasks, *(replica.stop() for replica in self._replicas), return_exceptions=True
        )
        self._replicas.clear()
        self._idle.clear()
        self._metrics.forget_version(self.model, self.version)

    def _dispatch(self) -> None:
        while self._idle and len(self._queue):
            now = self._loop.time()
            batch = [one for one in self._queue.next_batch(now) if not one.unwanted()]
            if batch:
                task = self._spawn_task(self._score(self._idle.pop(), batch))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            elif (again := self._queue.wait_until(now)) is not None:
                if self._wake is None:
                    self._wake = self._loop.call_at(again, self._wake_up)
                return

    async def _score(self, replica: Replica, batch: Sequence[Request]) -> None:
        started = self._loop.time()
        for request in batch:
            request.attempts += 1
            request.given = started
            self._queue_seconds.observe(started - request.arrived)
        try:
            result = await replica.score([one.item for one in batch], self._plan.predict_timeout)
        except HostFailed as error:
            self._lose(replica, error)
            self._retry(batch)
        else:
            for request, answer in zip(batch, result.answers, strict=True):
                request.answer(answer, self.version)
            self._observe(result)
            if replica in self._replicas:
                self._idle.append(replica)
        self._dispatch()

    def _wake_up(self) -> None:
        self._wake = None
        self._dispatch()

    def _observe(self, result: Result) -> None:
        rows = sum(answer.rows for answer in result.answers)
        self._rows.inc(rows)
        self._batch_rows.observe(rows)
        self._predict_seconds.observe(result.predict_seconds)
        self._batch_seconds = result.total_seconds
        self._failures = 0

    def _retry(self, batch: Sequence[Request]) -> None:
        """Give requests of a lost host to another one, each alone.

        One of them may have been what broke it.
        """
        again = []
        for request in batch:
            if request.unwanted():
                continue
            if request.attempts >= _MAX_ATTEMPTS:
                request.end(HOST_LOST)
            elif request.deadline <= self._loop.time():
                request.end(EXPIRED)
            else:
                request.alone = True
                again.append(request)
        self._retries.inc(len(again))
        self._queue.put_back(again)

    async def _load_one(self) -> Replica:
        replica = await self._spawn()
        try:
            self.description = await replica.load(
                self._path,
                {"model": self.model, "version": self.version},
                self._plan.load_timeout,
            )
        except BaseException:
            replica.kill()
            await replica.stop()
            raise
        return replica

    def _admit(self, replica: Replica) -> None:
        self._replicas.add(replica)
        self._idle.append(replica)
        self._up.set(len(self._replicas))
        replica.lost.add_done_callback(lambda _: self._lose(replica, HostFailed("The host ended.")))

    def _lose(self, replica: Replica, error: HostFailed) -> None:
        """Take a replica that cannot be trusted out of service, and see to its replacement."""
        if self._closing or replica not in self._replicas:
            return
        self._replicas.discard(replica)
        if replica in self._idle:
            self._idle.remove(replica)
        self._up.set(len(self._replicas))
        self._lost.inc()
        _logger.error(
            "A host was lost and is replaced. %s", error,
            extra={"model": self.model, "version": self.version, "pid": replica.pid},
        )  # fmt: skip
        replica.kill()
        self._spawn_task(replica.stop())
        self._spawn_task(self._replace())

    async def _replace(self) -> None:
        while not self._closing:
            delay = _RESTART_DELAYS[min(self._failures, len(_RESTART_DELAYS) - 1)]
            self._failures += 1
            await asyncio.sleep(delay)
            try:
                self._admit(await self._load_one())
            except (HostFailed, OSError):
                _logger.exception("A host cannot be replaced yet.", extra={"model": self.model})
            else:
                self._dispatch()
                return

    def _spawn_task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
