"""The version pools of one worker, which obeys its parent: the handlers of its calls."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.errors import ServingError
from cloche.serving.observability.metrics import Metrics
from cloche.serving.observability.worker_counts import collect_counts
from cloche.serving.processes.peer import Handlers
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri
from cloche.serving.workers.worker_model import WorkerModels

LocalPool = VersionPool | StagedPool
Fetched = tuple[Path, Path | None]  # a version's artifacts, and the interpreter for its hosts
MakePool = Callable[[str, ResolvedVersion, Sequence[Fetched]], LocalPool]


class WorkerPools:
    """The version pools that the parent has had loaded, by key."""

    def __init__(self, models: WorkerModels, metrics: Metrics, make: MakePool) -> None:
        self._models = models
        self._metrics = metrics
        self._make = make
        self._pools: dict[int, LocalPool] = {}
        self._loads: dict[int, asyncio.Task[Any]] = {}

    @property
    def handlers(self) -> Handlers:
        """The calls of the parent that concern versions."""
        return {
            "models": self._set_models, "load": self._load, "complete": self._complete,
            "switch": self._switch, "resume": self._resume, "retry": self._follow_retries,
            "close": self._close, "state": self._state,
        }  # fmt: skip

    async def _set_models(self, uris: list[dict[str, Any]], alias: str, complete: bool) -> None:
        """Serve exactly the models of these URIs."""
        wanted = {uri["name"]: uri for uri in uris}
        for model in list(self._models):
            if model.name not in wanted:
                for pool in (model.current, model.canary, model.shadow):
                    self._forget(pool)
                self._models.remove(model.name)
        for name, uri in wanted.items():
            if self._models.get(name) is None:
                self._models.add(ModelUri.from_json(uri))
        self._models.alias, self._models.complete = alias, complete

    async def _load(
        self, *, key: int, model: str, resolved: dict[str, Any],
        fetched: list[tuple[str, str | None]], another_serves: bool,
    ) -> dict[str, Any]:  # fmt: skip
        """Load a version, with its stages; return its description."""
        places = [(Path(path), Path(python) if python else None) for path, python in fetched]
        pool = self._make(model, ResolvedVersion.from_json(resolved), places)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # handlers run in tasks
        self._loads[key] = task
        try:
            await pool.start(another_serves=another_serves)
        finally:
            del self._loads[key]
        self._pools[key] = pool
        return pool.description

    async def _complete(self, key: int) -> dict[str, Any]:
        if (pool := self._pools.get(key)) is None:
            raise ServingError("The version was given up.")
        await pool.complete()
        return pool.description

    async def _switch(self, key: int, beside: dict[str, Any] | None) -> None:
        """Let a version that was loaded have requests, which wait until `_resume`.

        Args:
            key: The key of the version pool.
            beside: Its share as a canary or a shadow, nothing if it has none yet; None to take over
                from production.
        """
        pool = self._pools.get(key)
        model = self._models.get(pool.model) if pool else None
        if pool is None or model is None:
            return
        pool.pause()
        if beside is None:
            self._forget(model.current)
            model.serve(pool)
        elif beside:
            model.share_with(pool, **beside)

    async def _resume(self, key: int) -> None:
        if (pool := self._pools.get(key)) is not None:
            pool.resume()

    async def _follow_retries(self, key: int, resolved: dict[str, Any]) -> None:
        if (pool := self._pools.get(key)) is not None:
            pool.follow_retries(ResolvedVersion.from_json(resolved))

    async def _close(self, key: int) -> None:
        """Close a version pool, or give up its load."""
        if (load := self._loads.get(key)) is not None:
            load.cancel()
        if (pool := self._pools.pop(key, None)) is None:
            return
        model = self._models.get(pool.model)
        if model is None:
            await pool.close(lambda: None)
        else:
            model.retire(pool)

    async def _state(self) -> dict[str, Any]:
        state = {
            "in_progress": {model.name: model.in_progress for model in self._models},
            "queued": {key: pool.queued for key, pool in self._pools.items()},
            "replicas": {key: pool.replicas for key, pool in self._pools.items()},
        }
        return {"state": state, **collect_counts(self._metrics)}

    def _forget(self, leaving: ServedPool | None) -> None:
        """Forget a pool that a model is about to retire, so that it is not closed twice."""
        for key, pool in list(self._pools.items()):
            if pool is leaving:
                del self._pools[key]
