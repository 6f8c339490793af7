"""The workers as their parent sees them: who takes part, what they serve, and the switch of all.

No caller may see an old version after a new one, whichever worker answers. So a switch has three
steps: every worker loads the new version; every worker lets new requests wait for it, and says so;
then all answer by it. Requests that a worker had given to its hosts before are answered by the old
version: they were in flight.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from cloche.serving.background_tasks import restart_delay
from cloche.serving.errors import ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.peer import PeerLost
from cloche.serving.workers.worker_handle import WorkerHandle

_STATE_SECONDS = 0.5  # then its last state is told
_logger = logging.getLogger(__name__)


class LoadableVersion(Protocol):
    """A version as the fleet loads it; see `VersionOnWorkers`."""

    key: int
    model: str

    async def load_on(self, worker: WorkerHandle, *, another_serves: bool) -> None:
        """Load the version on a worker."""

    async def complete_on(self, worker: WorkerHandle) -> None:
        """Wait until a worker has loaded the model as well."""


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
        self._serving: dict[str, LoadableVersion] = {}
        self._served: dict[str, Any] = {}
        self._switching = asyncio.Lock()
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

    async def switch_to(self, pool: LoadableVersion, *, another_serves: bool) -> None:
        """Load a version on all members, then have all switch to it.

        A switch that has begun is completed when this is cancelled.

        Raises:
            HostFailed: A worker cannot load the version. Nothing was switched.
        """
        while True:
            await self._some.wait()
            lacking = self._without(pool, self.members)
            await asyncio.gather(
                *(pool.load_on(one, another_serves=another_serves) for one in lacking)
            )
            async with self._switching:
                if self.members and not self._without(pool, self.members):
                    switch = asyncio.create_task(self._switch(pool))
                    try:
                        await asyncio.shield(switch)
                    except asyncio.CancelledError:
                        await switch
                    return

    def drop(self, pool: LoadableVersion) -> None:
        """Have all workers close a version pool, loaded or not."""
        if self._serving.get(pool.model) is pool:
            del self._serving[pool.model]
        for worker in self._present:
            worker.loaded.discard(pool.key)
        self.tell("close", key=pool.key)

    def total(self, model: str, count: str) -> int:
        """The sum of what the members said of a model last."""
        return sum(worker.state.get(model, {}).get(count, 0) for worker in self.members)

    async def collect(self) -> None:
        """Ask all members for their state, and add what they counted to the metrics."""
        await asyncio.gather(*(self._ask_state(worker) for worker in self.members))
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

    async def _ask_state(self, worker: WorkerHandle) -> None:
        with contextlib.suppress(PeerLost, ServingError, TimeoutError):
            async with asyncio.timeout(_STATE_SECONDS):
                told = await worker.peer.call("state")
            worker.state = told["models"]
            worker.counts.update(self._metrics, told)

    async def _join(self, worker: WorkerHandle) -> None:
        """Have a new worker load what serves, and make it a member that listens."""
        try:
            if self._served:
                worker.peer.tell("models", **self._served)
            while worker not in self.members:
                for pool in list(self._serving.values()):
                    if pool.key not in worker.loaded:
                        await self._catch_up(worker, pool)
                async with self._switching:
                    if all(pool.key in worker.loaded for pool in self._serving.values()):
                        for pool in list(self._serving.values()):
                            await worker.call_or_end("switch", key=pool.key)
                            worker.peer.tell("resume", key=pool.key)
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

    async def _catch_up(self, worker: WorkerHandle, pool: LoadableVersion) -> None:
        """Load on a new worker what the others serve, unless they leave it meanwhile."""
        try:
            await pool.load_on(worker, another_serves=True)
            await pool.complete_on(worker)
        except ServingError:
            if self._serving.get(pool.model) is pool:
                raise

    async def _switch(self, pool: LoadableVersion) -> None:
        members = list(self.members)
        await asyncio.gather(*(worker.call_or_end("switch", key=pool.key) for worker in members))
        self._serving[pool.model] = pool
        for worker in members:
            worker.peer.tell("resume", key=pool.key)

    @staticmethod
    def _without(pool: LoadableVersion, workers: Iterable[WorkerHandle]) -> list[WorkerHandle]:
        return [worker for worker in workers if pool.key not in worker.loaded]
