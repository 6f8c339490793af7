"""Where model hosts come from.

Spawned when they are needed, and a few before that, while the registry is asked.

A host takes seconds to import MLflow, and so does the registry process; at the start of the server
they do it at the same time.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

from serving.front.replica import Replica


class Environment(NamedTuple):
    """A Python environment for hosts: its interpreter, and where that finds the host's code."""

    python: Path
    search: Path


class Hosts:
    """Spawns hosts that have `threads` threads each."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._prepared: list[asyncio.Task[Replica]] = []

    def prepare(self, count: int) -> None:
        """Have `count` hosts of the server's own environment at hand."""
        self._prepared += [
            asyncio.create_task(Replica.start(threads=self._threads)) for _ in range(count)
        ]

    async def take(self, environment: Environment | None) -> Replica:
        """A host in `environment`, or in the server's own."""
        if environment is not None:
            python, search = environment
            return await Replica.start(python=python, search=search, threads=self._threads)
        if self._prepared:
            return await self._prepared.pop()
        return await Replica.start(threads=self._threads)

    async def close(self) -> None:
        """End the hosts that nobody took."""
        for prepared in self._prepared:
            await (await prepared).stop()
