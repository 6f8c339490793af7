"""The handling of a prediction request in the front: read, queue, wait, answer.

This is the hot path, so the code is kept minimal.
"""

import asyncio
import gzip
import itertools
import logging
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cloche.serving.api.route_target import RouteTarget, serving_generation
from cloche.serving.observability.metrics import Metrics
from cloche.serving.observability.tracing import Tracing
from cloche.serving.processes.frames import BINARY_BODY, TEXT_BODY, Answer, Item
from cloche.serving.queue.deadlines import Deadlines
from cloche.serving.queue.prediction_request import (
    CLIENT_LEFT,
    CUT_OFF,
    EXPIRED,
    HOST_LOST,
    NOT_REPEATED,
    Ended,
    PredictionRequest,
    RequestOutcome,
)
from cloche.serving.settings import Settings
from cloche.serving.web import cross_origin
from cloche.serving.web.asgi import (
    BINARY,
    CLOSE,
    JSON,
    TEXT,
    ClientLeft,
    HeaderList,
    HttpError,
    Receive,
    Scope,
    Send,
    client_left,
    gunzip,
    header_name,
    header_text,
    read_body,
    respond,
    too_large,
)
from cloche.serving.web.request_headers import RequestHeaders

_GZIP_FROM = 1024
_ROUNDING = 1e-3  # rounding error of added and subtracted times, in seconds
_HOST_LOST = "The model host was lost on this request, and the one that was asked after it as well."
_NOT_REPEATED = (
    "The model host was lost on this request. The version's tag cloche.retry is off: the model was "
    "not asked again, and may have done its work."
)
_STOPPED = "The server ended before the model answered (--drain-timeout)."
_CONTENT_TYPES = {TEXT_BODY: TEXT, BINARY_BODY: BINARY}
_access = logging.getLogger("cloche.access")
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Exchange:
    """A prediction request that is being answered.

    Attributes:
        target: The model, version and protocol of the request.
        scope: The ASGI scope, or a mapping with the keys of it that are used.
        head: The parsed headers.
        id: The ID of the request in logs and in the answer.
        started: The time of arrival, on the loop's clock.
        serving: The version that served at that time; empty if none did.
        trace: The W3C trace context of the answer; empty for none.
        request: The queued request; None if it was not queued.
    """

    target: RouteTarget
    scope: Scope
    head: RequestHeaders
    id: bytes
    started: float
    serving: str
    trace: bytes
    request: PredictionRequest | None = None

    @property
    def version(self) -> str:
        """The version that answered, or else the one that served when the request arrived."""
        return (self.request.version if self.request else "") or self.serving


class Reply(NamedTuple):
    """The answer to a request over HTTP."""

    status: int
    body: bytes
    content_type: bytes
    headers: HeaderList


class Predictions:
    """Answers the prediction requests of one server."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        deadlines: Deadlines,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._deadlines = deadlines
        self._tracing = tracing
        self._loop = asyncio.get_running_loop()
        prefix = os.urandom(6).hex().encode()
        self._ids = map(b"%b-%x".__mod__, zip(itertools.repeat(prefix), itertools.count(1)))

    @property
    def traced(self) -> bool:
        """Whether requests are traced."""
        return self._tracing is not None

    async def answer(self, target: RouteTarget, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request over HTTP."""
        exchange = self.begin(target, scope, RequestHeaders(scope["headers"]))
        ended: Answer | HttpError
        try:
            if target.protocol.takes_any_type:
                cross_origin.check(exchange.head.content_type, scope["headers"])
            body = await self._read(exchange.head, receive)
            item = item_of(exchange, body)
            ended = await self.ask(exchange, item, client_left=lambda: client_left(receive))
        except ClientLeft:
            self.abandon(exchange)
            return
        except HttpError as error:
            ended = error
        finally:
            target.model.in_progress -= 1
        reply = self.reply(exchange, ended)
        await respond(send, *reply)
        self.count(exchange, reply.status)

    def begin(self, target: RouteTarget, scope: Scope, head: RequestHeaders) -> Exchange:
        """Register a new request; its end must decrement the model's `in_progress`."""
        model = target.model
        model.in_progress += 1
        return Exchange(
            target, scope, head, head.request_id or next(self._ids), self._loop.time(),
            model.current.version if model.current else "", head.traceparent,
        )  # fmt: skip

    async def ask(
        self, exchange: Exchange, item: Item, *,
        client_left: Callable[[], bool], patience: float = math.inf,
    ) -> Answer:  # fmt: skip
        """The answer of a model host to `item`; the arguments are those of `submit`.

        Raises:
            HttpError: The request ended without an answer of a host.
            ClientLeft: The client closed its connection.
        """
        outcome: asyncio.Future[Answer] = self._loop.create_future()
        self.submit(exchange, item, outcome, client_left=client_left, patience=patience)
        try:
            return await outcome
        except Ended as ended:
            raise self.ending(exchange, ended) from None

    def submit(
        self, exchange: Exchange, item: Item, outcome: RequestOutcome, *,
        client_left: Callable[[], bool], patience: float = math.inf,
    ) -> None:  # fmt: skip
        """Queue a request.

        Args:
            exchange: The request.
            item: The data that the model host receives.
            outcome: The receiver of the answer or of the reason for none.
            client_left: Returns whether the client closed its connection.
            patience: The client's own timeout, in seconds.

        Raises:
            HttpError: The request cannot be queued.
        """
        model = exchange.target.model
        generation = serving_generation(model, exchange.target.version)
        exchange.request = request = PredictionRequest(
            rows=exchange.target.protocol.rows(item.content_type, item.body),
            size=len(item.body),
            arrived=exchange.started,
            deadline=exchange.started + min(self._settings.request_timeout, patience),
            item=item,
            outcome=outcome,
            client_left=client_left,
        )
        if not generation.submit(request):
            self._metrics.rejected.labels(model.name, "queue full").inc()
            raise HttpError(
                429, "REQUEST_LIMIT_EXCEEDED", "Too many requests wait already.",
                [(b"retry-after", b"%d" % max(1, math.ceil(generation.seconds_to_drain)))],
            )  # fmt: skip
        self._deadlines.add(request)

    def ending(self, exchange: Exchange, ended: Ended) -> HttpError | ClientLeft:
        """The error for a request that no model host answered."""
        if ended.reason == CLIENT_LEFT:
            return ClientLeft()
        if ended.reason in (EXPIRED, CUT_OFF):
            self._metrics.expired.labels(exchange.target.model.name).inc()
            return HttpError(504, "DEADLINE_EXCEEDED", self._too_late(exchange, ended))
        if ended.reason == NOT_REPEATED:  # no Retry-After: a retry may repeat effects
            return HttpError(500, "INTERNAL_ERROR", _NOT_REPEATED)
        reason = _HOST_LOST if ended.reason == HOST_LOST else _STOPPED
        return HttpError(503, "TEMPORARILY_UNAVAILABLE", reason, [(b"retry-after", b"1")])

    def _too_late(self, exchange: Exchange, ended: Ended) -> str:
        """The message that names the time limit which the request exceeded."""
        limits = self._settings
        if ended.reason == CUT_OFF and limits.predict_timeout is not None:
            return (
                f"The model did not answer within {limits.predict_timeout:g} s "
                "(--predict-timeout), and was not asked again."
            )
        assert exchange.request is not None  # noqa: S101  # it was queued
        seconds = exchange.request.deadline - exchange.started
        own = seconds < limits.request_timeout - _ROUNDING
        whose = "the client's own" if own else "--request-timeout"
        return f"There was no answer within {seconds:g} s ({whose})."

    def reply(self, exchange: Exchange, ended: Answer | HttpError) -> Reply:
        """The answer over HTTP to a request with this outcome."""
        content_type, extra = JSON, []
        if isinstance(ended, HttpError):
            status, body = ended.status, exchange.target.protocol.error(ended)
            extra = ended.headers
        else:
            status, body_type, _, body, json_size = ended
            if body_type:
                content_type = _CONTENT_TYPES[body_type]
            if exchange.head.takes_gzip and len(body) >= _GZIP_FROM:
                body = gzip.compress(body, 1, mtime=0)
                extra = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
            if json_size:
                extra.append((b"inference-header-content-length", b"%d" % json_size))
        self.trace(exchange, status)
        headers = [
            (b"x-request-id", exchange.id),
            (b"x-model-name", header_name(exchange.target.model.name)),
            (b"x-model-version", header_text(exchange.version)),
            *extra,
        ]
        if exchange.trace:
            headers.append((b"traceresponse", exchange.trace))
        return Reply(status, body, content_type, headers)

    def trace(self, exchange: Exchange, status: int) -> None:
        """Record the spans of a request that is answered now, if tracing is on."""
        if self._tracing is not None:
            exchange.trace = self._tracing.record(
                exchange.scope, status, exchange.started, exchange.request,
                model=exchange.target.model.name, route=exchange.target.template,
            )  # fmt: skip

    def count(self, exchange: Exchange, status: int) -> None:
        """Count a request that was answered, and log it if it failed or access logs are on."""
        model, served = exchange.target.model.name, exchange.version
        exchange.request = None  # breaks a reference cycle, which only the collector would free
        seconds = self._loop.time() - exchange.started
        self._metrics.answered(model, served, status, seconds)
        if status >= 500 or self._settings.access_log:
            log = _logger.error if status >= 500 else _access.info
            log(
                "%s %s %d", exchange.scope["method"], exchange.scope["path"], status,
                extra={"request_id": exchange.id.decode(), "model": model, "version": served,
                       "seconds": round(seconds, 6), "trace": exchange.trace.decode() or None},
            )  # fmt: skip

    def abandon(self, exchange: Exchange) -> None:
        """Count a request whose client left."""
        self._metrics.abandoned.labels(exchange.target.model.name).inc()

    async def _read(self, head: RequestHeaders, receive: Receive) -> bytes:
        limit = self._settings.max_body
        if head.length > limit:
            raise too_large(limit)
        body = await read_body(receive, limit, self._settings.client_timeout)
        if head.encoding in (b"", b"identity"):
            return body
        if head.encoding != b"gzip":
            raise HttpError(
                415, "BAD_REQUEST", "The only Content-Encoding that is read is gzip.", [CLOSE]
            )
        return gunzip(body, limit)


def item_of(exchange: Exchange, body: bytes) -> Item:
    """The data of a request over HTTP that the model host receives.

    Raises:
        HttpError: The header Inference-Header-Content-Length is wrong.
    """
    head, protocol = exchange.head, exchange.target.protocol
    size = head.json_size if protocol.has_binary_data else 0
    if size and not 0 < size <= len(body):
        raise HttpError(
            400, "BAD_REQUEST",
            "Inference-Header-Content-Length must be the length of the JSON that the body begins "
            "with.",
        )  # fmt: skip
    return Item(head.content_type, body, exchange.id.decode(), protocol.name, size)
