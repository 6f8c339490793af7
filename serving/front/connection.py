"""One client connection.

Uvicorn's protocol, with limits on how large and how slow a request's head may be, and with a short
way for prediction requests.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from cloche.serving.front.corked import CorkedTransport
from cloche.serving.front.fastpath import FastPath
from cloche.serving.front.target import Target
from cloche.serving.front.web import JSON, HeaderList, error_body

_HEAD_LIMIT = 64 * 1024
_TICK_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class _Defaults:
    """The headers of every answer, written out: uvicorn makes a new list of them once a second."""

    def __init__(self) -> None:
        self._headers: HeaderList = []
        self._lines = b""

    def lines(self, headers: HeaderList) -> bytes:
        """`headers` as they go over the wire."""
        if headers is not self._headers:
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._headers = headers
        return self._lines


_defaults = _Defaults()


class Connection(HttpToolsProtocol):
    """A connection that does not wait for ever, nor for everything."""

    def __init__(self, *arguments: Any, fast_path: FastPath | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fast_path = fast_path
        self._head_since: float | None = None
        self._head_size = 0
        self._idle_since: float | None = None  # after an answer that uvicorn knows nothing of
        self._target: Target | None = None  # of a request that may be taken
        self._body = b""
        self._taken = False  # a request that is not answered yet
        self._last = False  # whether the connection ends with its answer
        self._left = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first head."""
        self._plain = transport
        corked = cast("asyncio.Transport", CorkedTransport(transport, self.loop))
        super().connection_made(corked)
        self._head_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever waits for an answer know that nobody does."""
        self._left = True
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start measuring a head."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head_since = self.loop.time()
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """The head is whole: see which way the request goes."""
        self._head_since = None
        if self._fast_path is not None and self._is_plain_post():
            self._target = self._fast_path.target(self.url)
            self._body = b""
        if self._target is None:
            self._go_through_asgi()

    def on_body(self, body: bytes) -> None:
        """Keep the body of a request that may be taken."""
        if self._target is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Take a request that is whole."""
        target = self._target
        if target is None or self._fast_path is None:
            super().on_message_complete()
            return
        self._target = None
        self._taken = True
        try:
            if self._fast_path.take(self, target, self.url, self.headers, self._body):
                return
        except Exception:
            _logger.exception("A request failed in the front.")
            body = error_body("INTERNAL_ERROR", "The server failed on this request.")
            self._last = True  # whatever was begun must not answer it once more
            self.answer(500, body, JSON, [])
            return
        self._taken = False
        self._go_through_asgi()
        super().on_body(self._body)
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large; wait elsewhere for a body that is not here yet."""
        self._idle_since = None
        super().data_received(data)
        if self._target is not None:
            self._target = None
            self._go_through_asgi()
            super().on_body(self._body)
        if self._head_since is not None:
            self._head_size += len(data)
            if self._head_size > _HEAD_LIMIT:
                self._refuse(431)

    def has_left(self) -> bool:
        """Whether the client closed the connection."""
        return self._left

    def answer(self, status: int, body: bytes, content_type: bytes, headers: HeaderList) -> None:
        """Send the answer to the request that was taken, unless the client left."""
        self._taken = False
        if self.transport.is_closing():
            return
        head = [STATUS_LINE[status], _defaults.lines(self.server_state.default_headers)]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        if self._last:
            head.append(b"connection: close\r\n")
        head.append(b"content-type: %b\r\ncontent-length: %d\r\n\r\n" % (content_type, len(body)))
        self._plain.write(b"".join((*head, body)))
        if self._last:
            self.transport.close()
        else:
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """Go on with a pipelined request, or wait for the next one."""
        if self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._idle_since = self.loop.time()

    def shutdown(self) -> None:
        """End the connection: after the answer that is on its way, if there is one."""
        if self._taken:
            self._last = True
        else:
            super().shutdown()

    def end_if_slow(self, now: float, patience: float) -> None:
        """Close the connection if its head takes longer than `patience` seconds, or if it idles."""
        if self._head_since is not None and now - self._head_since > patience:
            self._refuse(408)
        elif self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def _is_plain_post(self) -> bool:
        """Whether the request whose head was read may be taken, as far as HTTP is concerned."""
        parser = self.parser
        return (
            not self._taken
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.expect_100_continue
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def _go_through_asgi(self) -> None:
        """Have uvicorn do what it does when it has read a head."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope holds this list
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start a request, or let it wait until the one that was taken before it is answered."""
        if self._taken:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

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
