"""The front's client of the registry process, which it restarts when the process has ended."""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

from cloche.processes.child_variables import for_registry
from cloche.serving.errors import HostFailed, RegistryUnreachable, VersionRefused
from cloche.serving.forkserver.protocol import Program
from cloche.serving.processes.launcher import Process, Processes, kill
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
        """Call a method of `cloche.serving.registry.service.Service` in the registry process.

        Raises:
            VersionRefused: The registry answered, and the version cannot serve.
            RegistryUnreachable: There was no answer within `time_limit` seconds.
        """
        process = await self._running()
        try:
            async with asyncio.timeout(time_limit):
                reply = await process.call(method, about)
        except TimeoutError as error:
            if process is self._current and process.is_blocked:
                self._retired.add(process)
                self._current = None
            raise RegistryUnreachable(f"The registry said nothing for {time_limit:g} s.") from error
        except ConnectionError as error:
            raise RegistryUnreachable("The registry process ended.") from error
        finally:
            if process in self._retired and not process.waiting:
                self._retired.remove(process)
                self._processes.end_tasks.start(process.close())
        if "refused" in reply:
            raise VersionRefused(reply["refused"])
        if "unreachable" in reply:
            raise RegistryUnreachable(reply["unreachable"])
        return reply["answer"]

    async def close(self) -> None:
        """End the registry processes."""
        ending = [*self._retired, *filter(None, [self._current])]
        self._retired, self._current = set(), None
        await asyncio.gather(*(process.close() for process in ending))

    async def _running(self) -> "_RegistryProcess":
        async with self._starting:
            if self._current is not None and self._current.ended:
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
        return _RegistryProcess(process, reader, writer)


class _RegistryProcess:
    """A registry process and the calls that wait for its replies.

    MLflow's client has no time limit for a server that sends a byte now and then, so the threads of
    a process can be blocked for ever. Such a process is retired: it gets no more calls, answers
    those that need no registry, and ends after them.

    Attributes:
        waiting: The futures of the replies that are awaited, by the numbers of the calls.
    """

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._writer = writer
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._given_up: set[int] = set()
        self._numbers = itertools.count(HELLO + 1)
        self._listener = asyncio.create_task(self._listen(reader))

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._listener.done()

    @property
    def is_blocked(self) -> bool:
        """Whether so many calls were given up that they may occupy all threads for queries."""
        return len(self._given_up) >= QUERIES_AT_ONCE

    async def call(self, method: str, about: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a call.

        Raises:
            ConnectionError: The process ended before it replied.
        """
        number = next(self._numbers)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting[number] = reply
        line = json.dumps({"id": number, "ask": method, "about": about}).encode() + b"\n"
        try:
            self._writer.write(line)
            return await reply
        except asyncio.CancelledError:
            self._given_up.add(number)
            raise
        finally:
            del self.waiting[number]

    async def close(self) -> None:
        """End the process."""
        self._listener.cancel()
        self._writer.close()
        kill(self._process)
        await self._process.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                reply = json.loads(line)
                self._given_up.discard(reply["id"])
                future = self.waiting.get(reply["id"])
                if future is not None and not future.done():
                    future.set_result(reply)
        except ConnectionError:
            pass  # it ended before it had read all calls
        finally:
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError())
        _logger.error("The registry process ended; it is started anew with the next question.")
