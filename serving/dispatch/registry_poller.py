"""Asks the registry one question again and again, at the pace that the registry bears."""

import asyncio
import contextlib
import random
from typing import Any

from cloche.serving.dispatch.poll_policy import Pace
from cloche.serving.registry.client import Registry


class RegistryPoller:
    """One question about the registry, and when it is asked."""

    def __init__(self, registry: Registry, question: str, patience: float, **about: Any) -> None:
        self._registry = registry
        self._question = question
        self._patience = patience
        self._about = about
        self._pace = Pace()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Ask now instead of after the pause."""
        self._wake.set()

    async def look(self) -> Any:
        """The answer, now.

        Raises:
            VersionRefused: The registry was asked, and the version cannot serve.
            RegistryUnreachable: There is no answer.
        """
        self._wake.clear()
        asked = self._loop.time()
        try:
            return await self._registry.ask(self._question, self._patience, **self._about)
        finally:
            self._pace = self._pace.after(self._loop.time() - asked)

    async def rest(self, interval: float) -> None:
        """Wait for the next look, about `interval` seconds."""
        pause = self._pace.pause(interval, random.random())  # noqa: S311  # no secret
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)
