"""A version on all workers, as the parent follows it.

It is a `ServedPool`, like the version pool of a single process: it is loaded, takes over, and is
closed. It takes no requests, so it has none to hand over.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from cloche.serving.processes.peer import PeerLost
from cloche.serving.queue.prediction_request import PredictionRequest
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.workers.fleet import Fleet
from cloche.serving.workers.serving_versions import Beside
from cloche.serving.workers.worker_handle import WorkerHandle
from cloche.serving.workers.worker_pools import Fetched

_keys = itertools.count(1)


class VersionOnWorkers:
    """The version pools of one version, one on each worker, or its staged pools.

    Attributes:
        key: Its name in messages to the workers.
        description: The description of the version by the worker that loaded it last.
        losses: The number of hosts that workers have lost, as far as they have told.
    """

    def __init__(
        self, fleet: Fleet, model: str, resolved: ResolvedVersion, fetched: Sequence[Fetched]
    ) -> None:
        self.key = next(_keys)
        self.model = model
        self.version = resolved.version
        self.description: dict[str, Any] = {}
        self.losses = 0
        self._fleet = fleet
        self._resolved = resolved
        self._load: dict[str, Any] = {
            "key": self.key, "model": model, "resolved": asdict(resolved),
            "fetched": [(str(path), str(python) if python else None) for path, python in fetched],
        }  # fmt: skip

    @property
    def ready(self) -> bool:
        """Whether a worker has a warm replica."""
        return self.replicas > 0

    @property
    def queued(self) -> int:
        """The number of requests that wait for a replica."""
        return self._fleet.total("queued", str(self.key))

    @property
    def replicas(self) -> int:
        """The number of hosts that are loaded and warm."""
        return self._fleet.replicas(self.key)

    @property
    def retry(self) -> bool:
        """Whether a request whose host was lost may be given to another host, in each stage."""
        return all(one.retry for one in self._resolved.with_stages)

    def follow_retries(self, resolved: ResolvedVersion) -> None:
        """Have the workers set which versions may be asked again."""
        before, now = ([one.retry for one in of.with_stages] for of in (self._resolved, resolved))
        if now != before:
            self._resolved = resolved
            self._load["resolved"] = asdict(resolved)
            self._fleet.tell("retry", key=self.key, resolved=self._load["resolved"])

    async def start(self, *, another_serves: bool = True) -> None:
        """Load the version on all workers that lack it, and have all switch to it.

        Raises:
            HostFailed: A worker cannot load the version. Nothing was switched.
        """
        await self._switch(another_serves=another_serves)

    async def start_beside(self) -> None:
        """Load the version on all workers, as an arm that has no requests until `set_share`.

        Raises:
            HostFailed: A worker cannot load the version.
        """
        await self._switch(another_serves=True, beside={})

    def set_share(self, **share: Any) -> None:
        """Give the version its share as a canary or a shadow, on all workers at once.

        Args:
            share: The arguments of `WorkerModel.share_with`.
        """
        self._fleet.set_share(self, **share)

    async def _switch(self, *, another_serves: bool, beside: Beside = None) -> None:
        try:
            await self._fleet.switch_to(self, another_serves=another_serves, beside=beside)
        except BaseException:
            self._fleet.drop(self)
            raise

    async def complete(self) -> None:
        """Wait until all workers have loaded the model as well.

        Raises:
            HostFailed: A worker cannot load the model.
        """
        members = [worker for worker in self._fleet.members if self.key in worker.loaded]
        await asyncio.gather(*map(self.complete_on, members))

    async def load_on(self, worker: WorkerHandle, *, another_serves: bool) -> None:
        """Load the version on a worker.

        Raises:
            HostFailed: The worker cannot load the version.
        """
        with contextlib.suppress(PeerLost):
            request = self._load | {"another_serves": another_serves}
            self.description = await worker.call("load", **request)
            worker.loaded[self.key] = 1  # at least

    async def complete_on(self, worker: WorkerHandle) -> None:
        """Wait until a worker has loaded the model as well.

        Raises:
            HostFailed: The worker cannot load the model.
        """
        with contextlib.suppress(PeerLost):
            self.description = await worker.call("complete", key=self.key)

    def adopt(self, requests: Sequence[PredictionRequest]) -> None:
        """Take over requests of another version pool: on the workers, by their switch."""

    def release(self) -> list[PredictionRequest]:
        """Return all requests that still wait: here, none do."""
        return []

    def stop_waiting(self) -> None:
        """Do nothing: `close` waits for no client."""

    async def close(self, _: Callable[[], object]) -> None:
        """Have all workers close their version pools in the background."""
        self._fleet.drop(self)
