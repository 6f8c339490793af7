"""The registry's data on a model's history, fetched only while somebody requests it.

A request returns the known data at once, and fetches newer data for the next request.
"""

import asyncio
import contextlib
import math
from dataclasses import asdict
from typing import Any

from cloche.serving.background_tasks import Tasks
from cloche.serving.errors import ServingError
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import ModelUri

_FRESH_SECONDS = 2.0
_TIMEOUT = 60.0  # the first time, evidence is read from an artifact store


class VersionHistory:
    """The history of one model, as the registry last described it."""

    def __init__(self, uri: ModelUri, registry: Registry) -> None:
        self._uri = uri
        self._registry = registry
        self._known: dict[str, Any] | None = None
        self._fetched_at = -math.inf
        self._fetching = False
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()

    def known(self) -> dict[str, Any] | None:
        """What is known (see `History.read`); None until the registry has answered once."""
        if not self._fetching and self._loop.time() - self._fetched_at >= _FRESH_SECONDS:
            self._fetching = True
            self._tasks.start(self._fetch())
        return self._known

    def invalidate(self) -> None:
        """Have the next call of `known` ask the registry, because something changed."""
        self._fetched_at = -math.inf

    async def close(self) -> None:
        """Stop asking the registry."""
        await self._tasks.cancel()

    async def _fetch(self) -> None:
        self._fetched_at = self._loop.time()
        try:
            with contextlib.suppress(ServingError):  # `ServedModel.follow` reports it already
                self._known = await self._registry.call("history", _TIMEOUT, uri=asdict(self._uri))
        finally:
            self._fetching = False
