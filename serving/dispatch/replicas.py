"""The replicas of one version pool: loaded together, replaced when lost, renewed when they grow."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cloche.serving.background_tasks import Tasks, restart_delay
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.replica import Replica
from cloche.serving.errors import HostFailed
from cloche.serving.observability.metrics import Metrics

_MEMORY_SECONDS = 1.0
_MIB = 1024 * 1024
_logger = logging.getLogger(__name__)


class Replicas:
    """Provides idle replicas, and keeps their number constant.

    Attributes:
        description: The hosts' description of their version.
        losses: The number of replicas that were lost.
    """

    def __init__(
        self,
        label: dict[str, str],
        path: Path,
        *,
        settings: PoolSettings,
        metrics: Metrics,
        spawn: Callable[[], Awaitable[Replica]],
        idle: Callable[[], None],
    ) -> None:
        self.description: dict[str, Any] = {}
        self.losses = 0
        self._label = label
        self._path = path
        self._settings = settings
        self._spawn = spawn
        self._on_idle = idle
        self._replicas: set[Replica] = set()
        self._idle: list[Replica] = []
        self._leaving: set[Replica] = set()  # renewed, but not finished with their batch
        self._tasks = Tasks()
        self._closing = False
        self._failures = 0
        self._metrics = metrics
        self._lost = metrics.hosts_lost.labels(**label)
        self._renewed = metrics.hosts_renewed.labels(**label)

    def __len__(self) -> int:
        return len(self._replicas)

    @property
    def has_idle(self) -> bool:
        """Whether a replica is idle."""
        return bool(self._idle)

    async def start(self, *, another_serves: bool = True) -> None:
        """Load every replica.

        Args:
            another_serves: Whether another version serves meanwhile. If so, hosts load at a low
                priority; if not, twins may answer before models are loaded (see `complete`).

        Raises:
            HostFailed: A replica cannot load the version; the others are ended.
        """
        loads = [
            asyncio.create_task(
                self._load_one(twin_first=not another_serves, low_priority=another_serves)
            )
            for _ in range(self._settings.replicas)
        ]
        try:
            replicas = await asyncio.gather(*loads)
        except BaseException:
            for load in loads:
                load.cancel()
            done = await asyncio.gather(*loads, return_exceptions=True)
            for one in done:
                if isinstance(one, Replica):
                    one.stop_later()
            raise
        for replica in replicas:
            self._admit(replica)

    async def complete(self) -> None:
        """Wait until every replica has loaded its model, then start to watch their memory.

        Raises:
            HostFailed: A replica cannot load the model.
        """
        for replica in list(self._replicas):
            self.description = (
                await replica.complete(self._settings.load_timeout) or self.description
            )
        if self._settings.host_memory:
            self._tasks.start(self._watch_memory())

    def take(self) -> Replica:
        """Take an idle replica; `has_idle` must be true."""
        return self._idle.pop()

    def give_back(self, replica: Replica) -> None:
        """Return a replica that has finished its work."""
        self._failures = 0
        if replica in self._replicas:
            self._idle.append(replica)
        else:
            self._leave(replica)

    def lose(self, replica: Replica, error: HostFailed) -> None:
        """Take a failed replica out of service, and start its replacement."""
        if self._closing or replica not in self._replicas | self._leaving:
            return
        if replica in self._leaving:
            replica.kill()
            self._leave(replica)
            return
        self._remove(replica)
        self._lost.inc()
        self.losses += 1
        self._tasks.start(self._log_loss(replica, error))
        self._tasks.start(self._replace())

    def stop_replacing(self) -> None:
        """Stop replacing lost replicas, because the version pool is about to close."""
        self._closing = True

    async def close(self) -> None:
        """End every host."""
        self.stop_replacing()
        await self._tasks.cancel()
        await asyncio.gather(
            *(replica.stop() for replica in self._replicas | self._leaving), return_exceptions=True
        )
        self._replicas.clear()
        self._leaving.clear()
        self._idle.clear()
        self._metrics.set_replicas(self, **self._label, count=None)

    async def _load_one(self, *, twin_first: bool = False, low_priority: bool = False) -> Replica:
        replica = await self._spawn()
        version: dict[str, Any] = {
            "path": str(self._path), "twin": self._settings.twin,
            "as_stage": self._settings.as_stage,
            "twin_first": twin_first, "low_priority": low_priority,
            "stays_low": self._settings.low_priority, **self._label,
        }  # fmt: skip
        if self._settings.log is not None:
            version["log"] = self._settings.log.to_json()
        try:
            self.description = await replica.load(version, self._label, self._settings.load_timeout)
        except BaseException:
            replica.stop_later()
            raise
        return replica

    def _admit(self, replica: Replica) -> None:
        self._replicas.add(replica)
        self._idle.append(replica)
        self._count()
        replica.lost.add_done_callback(lambda _: self.lose(replica, HostFailed("The host ended.")))

    def _count(self) -> None:
        """Set the gauge, which begins to exist when the first replica is loaded."""
        self._metrics.set_replicas(self, **self._label, count=len(self._replicas))

    async def _log_loss(self, replica: Replica, error: HostFailed) -> None:
        """Log why a replica was lost, and end what is left of its processes."""
        if replica.lost.done():
            reason = await replica.end_reason()
        else:
            replica.kill()
            reason = str(error)
        replica.stop_later()
        _logger.error(
            "A host was lost and is replaced. %s", reason,
            extra={**self._label, "pid": replica.pid},
        )  # fmt: skip

    def _remove(self, replica: Replica) -> None:
        self._replicas.discard(replica)
        if replica in self._idle:
            self._idle.remove(replica)
        self._count()

    async def _replace(self) -> None:
        while not self._closing:
            delay = restart_delay(self._failures)
            self._failures += 1
            await asyncio.sleep(delay)
            try:
                self._admit(await self._load_one())
            except (HostFailed, OSError):
                _logger.exception("A host cannot be replaced yet.", extra=self._label)
            else:
                self._on_idle()
                return

    async def _watch_memory(self) -> None:
        """Renew hosts whose memory exceeds the limit, one at a time."""
        limit = self._settings.host_memory
        needed = max(replica.memory() for replica in self._replicas)
        if needed >= limit:
            _logger.error(
                "Freshly loaded, a host has %d MiB already: hosts are not renewed. "
                "Start the server with --max-host-memory %d.", needed // _MIB, 2 * needed // _MIB,
                extra=self._label,
            )  # fmt: skip
            return
        while True:
            await asyncio.sleep(_MEMORY_SECONDS)
            grown = [replica for replica in self._replicas if replica.memory() > limit]
            if grown:
                await self._renew(grown[0])

    async def _renew(self, old: Replica) -> None:
        """Replace `old` by a fresh host; `old` finishes its batch first."""
        _logger.warning(
            "A host outgrew --max-host-memory and is renewed.",
            extra={**self._label, "pid": old.pid, "mib": old.memory() // _MIB},
        )
        try:
            fresh = await self._load_one(low_priority=True)
        except (HostFailed, OSError):
            _logger.exception("A host cannot be renewed yet.", extra=self._label)
            return
        self._admit(fresh)
        if old in self._replicas:  # it may have been lost meanwhile
            was_idle = old in self._idle
            self._remove(old)
            self._leaving.add(old)
            self._renewed.inc()
            if was_idle:
                self._leave(old)
        self._on_idle()

    def _leave(self, replica: Replica) -> None:
        """End a renewed host that has no batch left."""
        self._leaving.discard(replica)
        self._tasks.start(replica.stop())
