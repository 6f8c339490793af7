"""One served model: it follows its URI, and switches to what the registry names.

The new version is loaded beside the one that serves, and takes over when it is warm.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from cloche.serving.errors import HostFailed, RegistryUnreachable, ServingError, VersionRefused
from cloche.serving.front.following import Standing, should_load
from cloche.serving.front.generation import Generation
from cloche.serving.front.history import History
from cloche.serving.front.metrics import Metrics
from cloche.serving.front.registry import Registry
from cloche.serving.front.watch import Watch
from cloche.serving.registry.uri import ModelUri

_RESOLVE_SECONDS = 15.0
_FETCH_SECONDS = 1800.0
_RETRY_SECONDS = 5.0
_logger = logging.getLogger(__name__)

MakeGeneration = Callable[[str, str, Path, str], Awaitable[Generation]]


class ServedModel:
    """A model by the name it is served under.

    Attributes:
        uri: What it follows.
        current: The generation that takes requests; None until the first version is warm.
        since: When that took over.
        loading: The version that is being loaded to take over; None if none is.
        history: What the registry tells of its versions.
        problem: Why the version that the registry names does not serve; empty when it does.
        in_progress: How many requests for it are not answered yet.
        read_at: When the registry was last read, on the loop's clock.
    """

    def __init__(
        self,
        uri: ModelUri,
        registry: Registry,
        metrics: Metrics,
        *,
        make: MakeGeneration,
        patience: float,
    ) -> None:
        self.uri = uri
        self.current: Generation | None = None
        self.since: datetime | None = None
        self.loading: str | None = None
        self.history = History(uri, registry)
        self.problem = "The first version is being loaded."
        self._registry = registry
        self._metrics = metrics
        self._make = make
        self._patience = patience
        self.in_progress = 0
        self._standing = Standing()
        self._refusal = ""
        self._loop = asyncio.get_running_loop()
        self.read_at = self._loop.time()
        self._closing: set[asyncio.Task[None]] = set()
        self._watch = Watch(registry, "resolve", _RESOLVE_SECONDS, uri=asdict(uri))

    @property
    def name(self) -> str:
        """By which it is served."""
        return self.uri.name

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        return self.current is not None and self.current.ready

    def wake(self) -> None:
        """Ask the registry now instead of at the next poll."""
        self._watch.wake()

    async def follow(self, interval: float) -> None:
        """Look at the registry every `interval` seconds, for ever.

        Sooner after a failure, and later while the registry takes long.
        """
        while True:
            pause = min(interval, _RETRY_SECONDS)
            try:
                await self._look()
                pause = interval
            except ServingError as error:
                self._note(str(error))
            except Exception:
                _logger.exception("Following failed; it goes on.", extra={"model": self.name})
            await self._watch.rest(pause)

    async def close(self) -> None:
        """End every generation."""
        if self.current is not None:
            self._retire(self.current)
            self.current = None
        await self.history.close()
        await asyncio.gather(*self._closing)

    async def _look(self) -> None:
        try:
            target: dict[str, str] = await self._watch.look()
        except RegistryUnreachable as error:
            if self.current is None:
                await self._start_from_cache(error)
                return
            raise
        self.read_at = self._loop.time()
        if should_load(self._standing, target["identity"], target["revision"]):
            await self._swap(target)
        else:
            serves = target["identity"] == self._standing.identity
            self.problem = "" if serves else self._refusal

    async def _start_from_cache(self, error: RegistryUnreachable) -> None:
        target = await self._registry.ask("last_good", _RESOLVE_SECONDS, uri=self.uri.text)
        if target is None:
            raise error
        _logger.warning(
            "The registry is not there; the version that served last is taken from the cache. %s",
            error,
            extra={"model": self.name, "version": target["version"]},
        )  # fmt: skip
        await self._swap(target)

    async def _swap(self, target: dict[str, str]) -> None:
        version = target["version"]
        started = self._loop.time()
        _logger.info("Loading.", extra={"model": self.name, "version": version})
        self.loading = version
        try:
            path = await self._registry.ask("fetch", _FETCH_SECONDS, target=target)
            fresh = await self._make(self.name, version, Path(path), target["twin"])
            await fresh.start(beside=self.current is not None)
            self._switch(fresh, target)
            self._tell_served(fresh, self._loop.time() - started)
            await fresh.complete()
        except (VersionRefused, HostFailed) as error:
            self._refuse(target, error)
        finally:
            self.loading = None
        await self._registry.ask("remember", _RESOLVE_SECONDS, uri=self.uri.text, target=target)

    def _tell_served(self, fresh: Generation, seconds: float) -> None:
        self._metrics.swaps.labels(self.name, "done").inc()
        self._metrics.swap_seconds.labels(self.name).observe(seconds)
        predictor = fresh.description["predictor"]
        _logger.info(
            "Serving.",
            extra={"model": self.name, "version": fresh.version, "predictor": predictor,
                   "seconds": round(seconds, 3)},
        )  # fmt: skip

    def _refuse(self, target: dict[str, str], error: Exception) -> NoReturn:
        """Serve without a version that could not be loaded, even if its twin answered already."""
        served, serving = self._standing.identity, self.current
        if served == target["identity"] and serving is not None:
            served, self.current = "", None
            self._retire(serving)
        self._standing = Standing(served, target["revision"])
        self._metrics.swaps.labels(self.name, "failed").inc()
        self._refusal = f"Version {target['version']} cannot serve: {error}"
        raise VersionRefused(self._refusal) from error

    def _switch(self, fresh: Generation, target: dict[str, str]) -> None:
        """Serve with `fresh`; what waited for the old generation goes to the new one."""
        old, self.current = self.current, fresh
        self.since = datetime.now(UTC)
        self.history.outdate()
        self._standing = Standing(target["identity"])
        self.problem = ""
        self.loading = None
        if old is not None:
            fresh.adopt(old.release())
            self._retire(old, fresh)

    def _retire(self, old: Generation, successor: Generation | None = None) -> None:
        task = asyncio.create_task(old.close(self._patience, successor))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            _logger.error("%s", problem, extra={"model": self.name})
        self.problem = problem

    def describe(self) -> dict[str, Any]:
        """What `/readyz` tells of it."""
        return {
            "uri": self.uri.text,
            "ready": self.ready,
            "version": self.current.version if self.current else None,
            "predictor": self.current.description["predictor"] if self.current else None,
            "problem": self.problem or None,
        }
