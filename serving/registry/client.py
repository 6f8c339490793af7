"""The front's client of the registry process, which it restarts when the process has ended."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Connection:
    process: Process
    writer: asyncio.StreamWriter
    listener: asyncio.Task[None]


class Registry:
    """The MLflow registry, queried through a separate process."""

    def __init__(self, cache: Path, processes: Processes) -> None:
        self._cache = cache
        self._processes = processes
        self._connection: _Connection | None = None
        self._starting = asyncio.Lock()
        self._questions: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._given_up: set[int] = set()
        self._count = 0

    async def ask(self, question: str, patience: float, **about: Any) -> Any:
        """Call a method of `cloche.serving.registry.service.Service` in the registry process.

        Raises:
            VersionRefused: The registry answered, and the version cannot serve.
            RegistryUnreachable: There was no answer within `patience` seconds.
        """
        connection = await self._connect()
        self._count += 1
        number = self._count
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        line = json.dumps({"id": number, "ask": question, "about": about}).encode() + b"\n"
        try:
            connection.writer.write(line)
            async with asyncio.timeout(patience):
                reply = await future
        except TimeoutError as error:
            self._give_up(number)
            raise RegistryUnreachable(f"The registry said nothing for {patience:g} s.") from error
        except ConnectionError as error:
            raise RegistryUnreachable("The registry process ended.") from error
        finally:
            self._questions.pop(number, None)
        if "refused" in reply:
            raise VersionRefused(reply["refused"])
        if "unreachable" in reply:
            raise RegistryUnreachable(reply["unreachable"])
        return reply["answer"]

    async def close(self) -> None:
        """End the registry process."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.listener.cancel()
            connection.writer.close()
            kill(connection.process)
            await connection.process.wait()

    def _give_up(self, number: int) -> None:
        """Record a timeout, and end the process when all its query threads may be blocked.

        MLflow's client has no time limit for a server that sends a byte now and then. The next call
        starts a new process.
        """
        self._given_up.add(number)
        if self._connection is not None and len(self._given_up) >= QUERIES_AT_ONCE:
            kill(self._connection.process)

    async def _connect(self) -> _Connection:
        async with self._starting:
            if self._connection is None or self._connection.listener.done():
                await self.close()
                self._connection = await self._start()
            return self._connection

    async def _start(self) -> _Connection:
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
            except TimeoutError:
                hello = b""
            if not hello or json.loads(hello)["id"] != HELLO:
                raise RegistryUnreachable("The registry process does not start; the log says why.")
            self._given_up.clear()
            undone.pop_all()
        return _Connection(process, writer, asyncio.create_task(self._listen(reader)))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            reply = json.loads(line)
            self._given_up.discard(reply["id"])
            future = self._questions.get(reply["id"])
            if future is not None and not future.done():
                future.set_result(reply)
        _logger.error("The registry process ended; it is started anew with the next question.")
        for future in self._questions.values():
            if not future.done():
                future.set_exception(ConnectionError())
