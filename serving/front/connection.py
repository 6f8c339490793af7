"""One client connection.

Uvicorn's protocol, with limits on how large and how slow a request's head may be.
"""

import asyncio
from collections.abc import Iterable
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.front.corked import CorkedTransport

_HEAD_LIMIT = 64 * 1024
_TICK_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """A connection that does not wait for ever, nor for everything."""

    _head_since: float | None = None
    _head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first head."""
        corked = cast("asyncio.Transport", CorkedTransport(transport, self.loop))
        super().connection_made(corked)
        self._head_since = self.loop.time()

    def on_message_begin(self) -> None:
        """Start measuring a head."""
        super().on_message_begin()
        self._head_since = self.loop.time()
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_since = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        super().data_received(data)
        if self._head_since is not None:
            self._head_size += len(data)
            if self._head_size > _HEAD_LIMIT:
                self._refuse(431)

    def end_if_slow(self, now: float, patience: float) -> None:
        """Close the connection if its head takes longer than `patience` seconds."""
        if self._head_since is not None and now - self._head_since > patience:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        if not self.transport.is_closing():
            head = STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head)
            self.transport.close()


async def end_slow_ones(connections: Iterable[object], patience: float) -> None:
    """Close connections whose clients are slow, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        now = loop.time()
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.end_if_slow(now, patience)
