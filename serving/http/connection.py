"""One client connection over HTTP/1.1.

It is uvicorn's protocol, with a limit on the size of a request's head, a time limit for each phase
of a connection, and a fast path for prediction requests.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from cloche.serving.api.route_target import RouteTarget
from cloche.serving.http.connection_phases import Phase, PhaseClock, PhaseLimits, PhaseSnapshot
from cloche.serving.http.fast_path import FastPath
from cloche.serving.http.head_limits import MessageMeter, without_upgrade
from cloche.serving.http.output_buffer import BufferedTransport
from cloche.serving.web.asgi import CLOSE, JSON, HeaderList, error_body

_NOT_IMPLEMENTED = 501
_TICK_SECONDS = 1.0
_logger = logging.getLogger(__name__)


class _Defaults:
    """The default headers of all answers, serialized when uvicorn replaces them, once a second."""

    def __init__(self) -> None:
        self._headers: HeaderList = []
        self._lines = b""

    def lines(self, headers: HeaderList) -> bytes:
        """The bytes of `headers` on the wire."""
        if headers is not self._headers:
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self._headers = headers
        return self._lines


_defaults = _Defaults()


class Connection(HttpToolsProtocol):
    """A client connection with size limits, time limits and a fast path."""

    def __init__(self, *arguments: Any, fast_path: FastPath | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fast_path = fast_path
        self._clock = PhaseClock()
        self._meter = MessageMeter()
        self.url, self.headers = b"", []
        self._refused_status = 0  # ends the connection, once earlier requests are answered
        self._target: RouteTarget | None = None  # of a request that may take the fast path
        self._request_headers: HeaderList = []
        self._body = b""
        self._in_fast_path = False  # whether a request on the fast path is not answered yet
        self._closes_after_answer = False  # whether the connection closes after its answer
        self._client_left = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put a write buffer before the transport."""
        self._buffered = BufferedTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._buffered))

    def connection_lost(self, exc: Exception | None) -> None:
        """Record that the client closed the connection."""
        self._client_left = True
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Read no more requests from a client that does not read its answers."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read requests again from a client that reads its answers."""
        super().resume_writing()
        if not self._is_answering():
            self.flow.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse data; refuse a head that is too large, and pass an incomplete body to ASGI."""
        if self._refused_status:
            return
        meter = self._meter
        if meter.arrives(data):
            self._refuse(431)
            return
        self._feed(data)
        if self._target is not None:
            self._target = None
            self._go_through_asgi()
            super().on_body(self._body)
        if meter.is_too_much(data, self.url, self.headers) and not self._refused_status:
            self._refuse(431)

    def _feed(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_...` methods below."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # raised for CONNECT as well
            method = self.parser.get_method()
            if method == b"CONNECT":
                self._refuse(_NOT_IMPLEMENTED)
                return
            version = self.parser.get_http_version()
            head = without_upgrade(method, self.url, version, self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self._refused_status:
                self._refuse(400)

    def on_message_begin(self) -> None:
        """Start a new head."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._meter.begin()

    def on_headers_complete(self) -> None:
        """Choose between the fast path and ASGI, now that the head is complete."""
        if self.parser.should_upgrade():
            return  # `_feed` parses the head again, without the upgrade
        if self._meter.is_head_too_large(self.url, self.headers):
            self._refuse(431)
            raise ValueError("The head is too large.")  # the parser reads no further
        self._request_headers = self.headers
        if self._fast_path is not None and self._is_plain_post():
            self._target = self._fast_path.target(self.url)
            self._body = b""
            self.headers = []  # collects trailer fields, which are ignored
        if self._target is None:
            self._go_through_asgi()
        self._meter.in_body = True

    def on_body(self, body: bytes) -> None:
        """Keep the body of a request that may take the fast path; pass on others to uvicorn."""
        self._meter.some_body()
        if self._target is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """Pass a complete request to the fast path, or to ASGI."""
        if not self._meter.in_body:
            return  # `_feed` parses the request again, without the upgrade
        self._meter.in_body = False
        target = self._target
        if target is None or self._fast_path is None:
            super().on_message_complete()
            return
        self._target = None
        self._in_fast_path = True
        headers = self._request_headers
        try:
            if self._fast_path.take(self, target, self.url, headers, self._body):
                return
        except Exception:
            _logger.exception("A request failed in the front.")
            body = error_body("INTERNAL_ERROR", "The server failed on this request.")
            # a request that was queued must not answer a second time
            self._closes_after_answer = True
            self.answer(500, body, JSON, [])
            return
        self._in_fast_path = False
        self._go_through_asgi()
        super().on_body(self._body)
        super().on_message_complete()

    def has_left(self) -> bool:
        """Whether the client closed the connection."""
        return self._client_left

    def answer(self, status: int, body: bytes, content_type: bytes, headers: HeaderList) -> None:
        """Send the answer to the request on the fast path, unless the client left."""
        self._in_fast_path = False
        if self.transport.is_closing():
            return
        if self._closes_after_answer:
            headers.append(CLOSE)
        head = [STATUS_LINE[status], _defaults.lines(self.server_state.default_headers)]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        end = b"content-type: %b\r\ncontent-length: %d\r\n\r\n" % (content_type, len(body))
        head += (end, body)
        self._buffered.write_at_once(b"".join(head))
        if CLOSE in headers:
            self.transport.close()
        else:
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """Continue with a pipelined request, or wait for the next one."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self._refused_status:
            self._end_with(self._refused_status)
        elif not self.flow.write_paused:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close the connection, after the pending answer if there is one."""
        if self._in_fast_path:
            self._closes_after_answer = True
        else:
            super().shutdown()

    def close_if_slow(self, now: float, limits: PhaseLimits) -> None:
        """Close the connection if its phase lasts too long."""
        snapshot = self._snapshot()
        if not self._clock.is_over(snapshot, now, limits):
            return
        if snapshot.phase is Phase.HEAD and not self.transport.is_closing():
            self._refuse(408)
        elif snapshot.phase is Phase.IDLE and not self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.abort()

    def _snapshot(self) -> PhaseSnapshot:
        unsent, meter = self._buffered.get_write_buffer_size(), self._meter
        if unsent:
            phase = Phase.UNSENT
        elif self._is_answering():
            phase = Phase.ANSWER
        elif meter.in_head or not meter.begun:
            phase = Phase.HEAD
        else:
            phase = Phase.REST if meter.in_body else Phase.IDLE
        return PhaseSnapshot(phase, meter.begun, unsent)

    def _is_answering(self) -> bool:
        """Whether a request that has begun is not answered yet."""
        return self._in_fast_path or (self.cycle is not None and not self.cycle.response_complete)

    def _is_plain_post(self) -> bool:
        """Whether method, version and state of the connection allow the fast path."""
        parser = self.parser
        return (
            not self._in_fast_path
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.expect_100_continue
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def _go_through_asgi(self) -> None:
        """Have uvicorn process the head that was parsed."""
        url, expects = self.url, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += self._request_headers  # the scope holds this list
        super().on_headers_complete()
        self.headers = []

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start a request, or queue it until the request on the fast path is answered."""
        if self._in_fast_path:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

    def _refuse(self, status: int) -> None:
        """End the connection with this status, once earlier requests are answered."""
        in_body = self._meter.in_body
        earlier = self._in_fast_path or self.pipeline or (not in_body and self._is_answering())
        answered = in_body and self._target is None and self.cycle.response_started
        self._refused_status = status
        self._target = None
        if in_body and (earlier or answered):
            self.transport.abort()  # the client could not tell which request is answered
        elif earlier:
            self.flow.pause_reading()
        else:
            self._end_with(status)

    def _end_with(self, status: int) -> None:
        if self.transport.is_closing():
            return
        if status == 400:
            self.send_400_response("Invalid HTTP request received.")
            return
        headers = _defaults.lines(self.server_state.default_headers)
        end = b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + headers + end)
        self.transport.close()


async def close_slow_connections(connections: Iterable[object], limits: PhaseLimits) -> None:
    """Close connections of slow clients, until this task is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        now = loop.time()
        for connection in list(connections):
            if isinstance(connection, Connection):
                connection.close_if_slow(now, limits)
