"""The front's client of the registry process, which it restarts when the process has ended."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

from cloche.processes.child_variables import for_registry
from cloche.serving.errors import HostFailed, RegistryUnreachable
from cloche.serving.forkserver.protocol import Program
from cloche.serving.processes.launcher import Process, Processes, kill
from cloche.serving.processes.peer import Peer, PeerLost
from cloche.serving.registry.protocol import HELLO, QUERIES_AT_ONCE, store_modules

_LINE_LIMIT = 1 << 24
_START_SECONDS = 120.0  # long enough to import MLflow on a busy machine
_logger = logging.getLogger(__name__)


class Registry:
    """The MLflow registry, queried through a separate process."""

    def __init__(self, cache: Path, processes: Processes) -> None:
        self._cache = cache
        self._processes = processes
        self._current: _RegistryProcess | None = None
        self._retired: set[_RegistryProcess] = set()
        self._starting = asyncio.Lock()

    async def call(self, method: str, time_limit: float, **about: Any) -> Any:
        """Call a method of `serving/registry/service.py`'s `RegistryService` in its process.

        Raises:
            VersionRefused: The registry answered, and the version cannot serve.
            RegistryUnreachable: There was no answer within `time_limit` seconds.
        """
        process = await self._running()
        try:
            async with asyncio.timeout(time_limit):
                return await process.peer.call(method, **about)
        except TimeoutError as error:
            if process is self._current and process.is_blocked:
                self._retired.add(process)
                self._current = None
            raise RegistryUnreachable(f"The registry said nothing for {time_limit:g} s.") from error
        except PeerLost as error:
            raise RegistryUnreachable("The registry process ended.") from error
        finally:
            if process in self._retired and not process.peer.waiting:
                self._retired.remove(process)
                self._processes.end_tasks.start(process.close())

    async def close(self) -> None:
        """End the registry processes."""
        ending = [*self._retired, *filter(None, [self._current])]
        self._retired, self._current = set(), None
        await asyncio.gather(*(process.close() for process in ending))

    async def _running(self) -> "_RegistryProcess":
        async with self._starting:
            if self._current is not None and self._current.peer.ended:
                _logger.error("The registry process ended, and is started again.")
                ended, self._current = self._current, None
                await ended.close()
            if self._current is None:
                self._current = await self._start()
            return self._current

    async def _start(self) -> "_RegistryProcess":
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undone:
            undone.callback(ours.close)
            try:
                with theirs:
                    process = await self._processes.start(
                        Program.REGISTRY, theirs, str(self._cache), needs=store_modules(os.environ)
                    )
            except (HostFailed, OSError) as error:
                raise RegistryUnreachable(
                    f"The registry process does not start. {error}"
                ) from error
            undone.callback(kill, process)
            reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT)
            undone.callback(writer.close)
            # Model hosts are forks of the same fork server, so its environment holds no secrets.
            writer.write(json.dumps(for_registry(os.environ)).encode() + b"\n")
            try:
                async with asyncio.timeout(_START_SECONDS):
                    hello = await reader.readline()
            except (TimeoutError, ConnectionError):
                hello = b""
            if not hello or json.loads(hello)["id"] != HELLO:
                raise RegistryUnreachable("The registry process does not start; the log says why.")
            undone.pop_all()
        return _RegistryProcess(process, Peer(reader, writer, {}))


class _RegistryProcess(NamedTuple):
    """A registry process, and the calls to it.

    MLflow's client has no time limit for a server that sends a byte now and then, so the threads of
    a process can be blocked for ever. Such a process is retired: it gets no more calls, answers
    those that need no registry, and ends after them.
    """

    process: Process
    peer: Peer

    @property
    def is_blocked(self) -> bool:
        """Whether so many calls were given up that they may occupy all threads for queries."""
        return len(self.peer.given_up) >= QUERIES_AT_ONCE

    async def close(self) -> None:
        """End the process."""
        await self.peer.close()
        kill(self.process)
        await self.process.wait()
