"""Calls between two processes, in both directions over one socket.

A call is one line of JSON, `{"id", "call", "about"}`, and so is its reply: `{"id", "answer"}`, or
`{"id", "failed", "kind"}`. Calls begin in the order in which they were sent.
"""

import asyncio
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cloche.serving.background_tasks import Tasks
from cloche.serving.errors import (
    HostFailed,
    HostSilent,
    RegistryUnreachable,
    ServingError,
    VersionRefused,
)

_LINE_LIMIT = 1 << 26
_KINDS = {
    one.__name__: one for one in (HostFailed, HostSilent, RegistryUnreachable, VersionRefused)
}
_logger = logging.getLogger(__name__)

Handlers = Mapping[str, Callable[..., Awaitable[Any]]]


class PeerLost(Exception):
    """The process at the other end of the socket has ended."""


class Peer:
    """The process at the other end of a socket; `handlers` answer its calls.

    Attributes:
        waiting: The calls whose answers are awaited, by number.
        given_up: The numbers of the calls that wait no longer, and are not answered yet.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Handlers
    ) -> None:
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.given_up: set[int] = set()
        self._writer = writer
        self._handlers = handlers
        self._numbers = itertools.count(1)
        self._tasks = Tasks()
        self._listener = asyncio.create_task(self._listen(reader))

    @classmethod
    async def connect(cls, connection: socket.socket, handlers: Handlers) -> "Peer":
        """Take over a stream socket."""
        return cls(*await asyncio.open_connection(sock=connection, limit=_LINE_LIMIT), handlers)

    @property
    def ended(self) -> bool:
        """Whether the other process has ended."""
        return self._listener.done()

    async def call(self, name: str, /, **about: Any) -> Any:
        """Call a handler of the other process, and return its answer.

        Raises:
            PeerLost: The other process has ended.
            ServingError: The handler failed.
        """
        if self.ended:
            raise PeerLost
        number = next(self._numbers)
        reply = self.waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(id=number, call=name, about=about)
            return await reply
        except asyncio.CancelledError:
            self.given_up.add(number)
            raise
        finally:
            del self.waiting[number]

    def tell(self, name: str, **about: Any) -> None:
        """Call a handler without waiting for its answer."""
        self._send(id=0, call=name, about=about)

    async def close(self) -> None:
        """Close the socket, and end the handlers that run."""
        self._listener.cancel()
        self._writer.close()
        await self._tasks.cancel()

    def _send(self, **message: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "call" in message:
                    self._tasks.start(self._answer(**message))
                    continue
                self.given_up.discard(message["id"])
                if (reply := self.waiting.get(message["id"])) and not reply.done():
                    _settle(reply, message)
        except ConnectionError:
            pass
        finally:
            for reply in self.waiting.values():
                if not reply.done():
                    reply.set_exception(PeerLost())

    async def _answer(self, id: int, call: str, about: dict[str, Any]) -> None:  # noqa: A002  # the name in the message
        try:
            self._send(id=id, answer=await self._handlers[call](**about))
        except asyncio.CancelledError:
            self._send(id=id, failed="It was given up.", kind="")
        except PeerLost:
            pass
        except ServingError as error:
            self._send(id=id, failed=str(error), kind=type(error).__name__)
        except Exception as error:
            _logger.exception("A call of another process failed: %s.", call)
            self._send(id=id, failed=f"{type(error).__name__}: {error}", kind="")


def _settle(reply: asyncio.Future[Any], message: dict[str, Any]) -> None:
    if "answer" in message:
        reply.set_result(message["answer"])
    else:
        reply.set_exception(_KINDS.get(message["kind"], ServingError)(message["failed"]))
