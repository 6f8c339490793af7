"""The workers as their parent sees them: who takes part, and what happens when one ends."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from cloche.serving.background_tasks import Tasks, restart_delay
from cloche.serving.errors import ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.peer import PeerLost
from cloche.serving.workers.serving_versions import (
    Beside,
    LoadableVersion,
    Serving,
    ServingVersions,
)
from cloche.serving.workers.worker_handle import WorkerHandle

_logger = logging.getLogger(__name__)


class Fleet:
    """The workers of a server.

    Attributes:
        members: The workers that answer, or will as soon as a version serves.
        begun: Set when all workers have begun to answer.
    """

    def __init__(self, count: int, metrics: Metrics) -> None:
        self.members: list[WorkerHandle] = []
        self.begun = asyncio.Event()
        self._count = count
        self._metrics = metrics
        self._present: list[WorkerHandle] = []  # the members, and those that are not yet
        self._serving = ServingVersions()
        self._shares = Tasks()
        self._served: dict[str, Any] = {}
        self._some = asyncio.Event()  # set while there are members, once all have begun
        self._ending = asyncio.Event()

    async def keep(self, start: Callable[[], Awaitable[WorkerHandle]]) -> None:
        """Keep one worker running, until `end`.

        Raises:
            ServingError: It ended before all workers had begun.
        """
        failures = 0
        while not self._ending.is_set():
            try:
                worker = await start()
            except OSError as error:
                failures, reason = failures + 1, str(error)
            else:
                code = await self._run(worker)
                failures = 0 if worker.listening else failures + 1
                reason = f"exit code {code}"
            if self._ending.is_set():
                return
            if not self.begun.is_set():
                raise ServingError(f"A worker did not start ({reason}); the log says more.")
            _logger.error("A worker ended (%s), and is started again.", reason)
            await asyncio.sleep(restart_delay(failures))

    async def end(self, time_limit: float) -> None:
        """Have all workers finish what runs, and end them after `time_limit` seconds."""
        self._ending.set()
        self.tell("drain")
        ends = [asyncio.create_task(worker.process.wait()) for worker in self._present]
        if ends:
            await asyncio.wait(ends, timeout=time_limit)
        for worker in self._present:
            worker.kill()

    def tell(self, name: str, **about: Any) -> None:
        """Tell all workers something, without waiting for them."""
        for worker in self._present:
            worker.peer.tell(name, **about)

    def set_served(self, **served: Any) -> None:
        """Set what all workers serve: the models' URIs, the alias, whether it was listed."""
        if served != self._served:
            self._served = served
            self.tell("models", **served)

    async def switch_to(
        self, pool: LoadableVersion, *, another_serves: bool, beside: Beside = None
    ) -> None:
        """Load a version on all members that lack it, then have all switch to it.

        A switch that has begun is completed when this is cancelled.

        Args:
            pool: The version.
            another_serves: Whether another version serves meanwhile.
            beside: Its share as a canary or a shadow; None to take over from production.

        Raises:
            HostFailed: A worker cannot load the version. Nothing was switched.
        """
        while True:
            await self._some.wait()
            lacking = self._without(pool, self.members)
            await asyncio.gather(
                *(pool.load_on(one, another_serves=another_serves) for one in lacking)
            )
            async with self._serving.lock:
                members = list(self.members)
                if members and not self._without(pool, members):
                    switch = asyncio.create_task(self._serving.switch(pool, beside, members))
                    try:
                        await asyncio.shield(switch)
                    except asyncio.CancelledError:
                        await switch
                    return

    def set_share(self, pool: LoadableVersion, **share: Any) -> None:
        """Have all members that have loaded a canary or a shadow give it this share, soon."""
        self._shares.start(self._set_share(pool, share))

    def drop(self, pool: LoadableVersion) -> None:
        """Have all workers close a version pool, loaded or not."""
        self._serving.drop(pool)
        for worker in self._present:
            worker.loaded.pop(pool.key, None)
        self.tell("close", key=pool.key)

    def replicas(self, key: int) -> int:
        """The number of warm replicas of a version pool on all members."""
        return sum(worker.loaded.get(key, 0) for worker in self.members)

    def total(self, count: str, name: str) -> int:
        """The sum of what the members said last: `in_progress` by model, `queued` by pool's key."""
        return sum(worker.state.get(count, {}).get(name, 0) for worker in self.members)

    async def collect(self) -> None:
        """Ask all members for their state, and add what they counted to the metrics."""
        await asyncio.gather(*(worker.ask_state(self._metrics) for worker in self.members))
        replicas: defaultdict[tuple[str, str], float] = defaultdict(float)
        for worker in self.members:
            for model, version, count in worker.counts.replicas:
                replicas[model, version] += count
        self._metrics.replicas.clear()
        for labels, count in replicas.items():
            self._metrics.replicas.labels(*labels).set(count)

    async def _run(self, worker: WorkerHandle) -> int:
        """Have a worker join the others, and return its exit code when it has ended."""
        self._present.append(worker)
        if self._ending.is_set():
            worker.kill()
        tasks = [asyncio.create_task(one) for one in (self._join(worker), worker.end_if_silent())]
        code = await worker.process.wait()
        for task in tasks:
            task.cancel()
        self._present.remove(worker)
        if worker in self.members:
            self.members.remove(worker)
        if not self.members:
            self._some.clear()
        await worker.peer.close()
        return code

    async def _join(self, worker: WorkerHandle) -> None:
        """Have a new worker load what serves, and make it a member that listens."""
        try:
            if self._served:
                worker.peer.tell("models", **self._served)
            while worker not in self.members:
                for serving in self._serving.lacking(worker):
                    await self._catch_up(worker, serving)
                async with self._serving.lock:
                    if not self._serving.lacking(worker):
                        await self._serving.switch_new(worker)
                        self.members.append(worker)
            await worker.peer.call("listen")  # one that cannot is not killed: it says why
            worker.listening = True
        except PeerLost:
            return
        except ServingError:
            _logger.exception("A worker cannot serve.", extra={"pid": worker.process.pid})
            worker.kill()
            return
        listening = sum(member.listening for member in self.members)
        if self.begun.is_set() or listening == self._count:
            self.begun.set()
            self._some.set()

    async def _catch_up(self, worker: WorkerHandle, serving: Serving) -> None:
        """Load on a new worker what the others serve, unless they leave it meanwhile."""
        pool = serving.pool
        try:
            await pool.load_on(worker, another_serves=True)
            await pool.complete_on(worker)
        except ServingError as error:
            if self._serving.get(pool) is None:
                return
            if serving.beside is None:
                raise
            worker.given_up.add(pool.key)
            _logger.error(  # noqa: TRY400  # a traceback would add nothing
                "A new worker serves without a version beside production, which it cannot load: %s",
                error,
                extra={"model": pool.model, "pid": worker.process.pid},
            )  # fmt: skip

    async def _set_share(self, pool: LoadableVersion, share: dict[str, Any]) -> None:
        async with self._serving.lock:
            serving = self._serving.get(pool)
            if serving is not None and serving.beside is not None:  # else it was promoted
                has = [worker for worker in self.members if pool.key in worker.loaded]
                await self._serving.switch(pool, share, has)

    @staticmethod
    def _without(pool: LoadableVersion, workers: Iterable[WorkerHandle]) -> list[WorkerHandle]:
        return [worker for worker in workers if pool.key not in worker.loaded]
