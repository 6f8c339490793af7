"""What all workers of a server answer by, and how all change to another version or share at once.

No caller may see an old version after a new one, whichever worker answers. So a switch has three
steps: every worker loads the new version; every worker lets new requests wait for it, and says so;
then all answer by it. Requests that a worker had given to its hosts before are answered by the old
version: they were in flight. The share of a canary changes in the same way, so no caller sees
production after the canary while it grows.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from cloche.serving.background_tasks import Tasks
from cloche.serving.workers.worker_handle import WorkerHandle

_SHARE_SECONDS = 1.0  # for which a canary's callers wait at most for a worker that hangs

Beside = dict[str, Any] | None


class LoadableVersion(Protocol):
    """A version as the fleet loads it; see `VersionOnWorkers`."""

    key: int
    model: str

    async def load_on(self, worker: WorkerHandle, *, another_serves: bool) -> None:
        """Load the version on a worker."""

    async def complete_on(self, worker: WorkerHandle) -> None:
        """Wait until a worker has loaded the model as well."""


class Serving(NamedTuple):
    """A version by which all workers answer.

    Attributes:
        beside: What workers are to know of it as a canary or a shadow, which is nothing while it
            has no share; None in production.
    """

    pool: LoadableVersion
    beside: Beside


class ServingVersions:
    """The versions by which all workers answer.

    Attributes:
        lock: Held while workers switch, or one joins them.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._serving: dict[int, Serving] = {}  # by the key of the version pool
        self._calls = Tasks()

    def get(self, pool: LoadableVersion) -> Serving | None:
        """How the workers answer by a version; None if they do not."""
        return self._serving.get(pool.key)

    def drop(self, pool: LoadableVersion) -> None:
        """Have no worker answer by a version any more."""
        self._serving.pop(pool.key, None)

    def lacking(self, worker: WorkerHandle) -> list[Serving]:
        """What a worker has yet to load."""
        has = worker.given_up | worker.loaded.keys()
        return [serving for key, serving in self._serving.items() if key not in has]

    async def switch(
        self, pool: LoadableVersion, beside: Beside, members: Sequence[WorkerHandle]
    ) -> None:
        """Have all members answer by a version at once; the lock is held."""
        if beside is None:
            for key, (other, share) in list(self._serving.items()):
                if other.model == pool.model and share is None:
                    del self._serving[key]
        self._serving[pool.key] = Serving(pool, beside)
        calls = [
            self._calls.start(worker.call_or_end("switch", key=pool.key, beside=beside))
            for worker in members
        ]
        if calls:
            await asyncio.wait(calls, timeout=None if beside is None else _SHARE_SECONDS)
        for worker in members:
            worker.peer.tell("resume", key=pool.key)

    async def switch_new(self, worker: WorkerHandle) -> None:
        """Have a new worker, which has loaded what the others have, answer as they do."""
        for key, serving in list(self._serving.items()):
            await worker.call_or_end("switch", key=key, beside=serving.beside)
            worker.peer.tell("resume", key=key)
