"""Polls the registry with one request, at a pace that the registry can bear."""

import asyncio
import contextlib
import random
from typing import Any

from cloche.serving.dispatch.poll_policy import PollPace
from cloche.serving.registry.client import Registry


class RegistryPoller:
    """A request that is sent to the registry repeatedly, and its schedule."""

    def __init__(self, registry: Registry, method: str, time_limit: float, **params: Any) -> None:
        self._registry = registry
        self._method = method
        self._time_limit = time_limit
        self._params = params
        self._pace = PollPace()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Poll now instead of after the pause."""
        self._wake.set()

    async def poll(self) -> Any:
        """Poll the registry now, and return its answer.

        Raises:
            VersionRefused: The registry answered, and the version cannot serve.
            RegistryUnreachable: The registry did not answer.
        """
        self._wake.clear()
        started = self._loop.time()
        try:
            return await self._registry.call(self._method, self._time_limit, **self._params)
        finally:
            self._pace = self._pace.after(self._loop.time() - started)

    async def rest(self, interval: float) -> None:
        """Wait until the next poll: about `interval` seconds, or more if the registry is slow."""
        pause = self._pace.pause(interval, random.random())  # noqa: S311  # jitter needs no secure randomness
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
