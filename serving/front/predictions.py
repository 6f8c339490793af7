"""The way of a prediction request through the front: read, queue, wait, answer.

This is the hot path; it is kept bare.
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

from serving.front import weight
from serving.front.deadlines import Deadlines
from serving.front.generation import Generation
from serving.front.head import Head
from serving.front.metrics import Metrics
from serving.front.model import ServedModel
from serving.front.request import CLIENT_LEFT, EXPIRED, Ended, Outcome, Request
from serving.front.settings import Settings
from serving.front.tracing import Tracing
from serving.front.web import (
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
    error_body,
    gunzip,
    header_text,
    read_body,
    respond,
    too_large,
)
from serving.host.frames import TEXT_BODY, Answer, Item

_GZIP_FROM = 1024
_access = logging.getLogger("serving.access")
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Exchange:
    """One prediction request inside the front, however it came in.

    Attributes:
        model: Whom it is meant for.
        head: What its headers say.
        id: By which logs and the client know it.
        started: When it came in, on the loop's clock.
        served: The version that answers it.
        request: What waits in the queue; None until it does.
    """

    model: ServedModel
    head: Head
    id: bytes
    started: float
    served: str
    request: Request | None = None


class Reply(NamedTuple):
    """What a request is answered."""

    status: int
    content_type: bytes
    headers: HeaderList
    body: bytes


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
        """Whether every request leaves a span."""
        return self._tracing is not None

    async def answer(
        self, model: ServedModel, version: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request for `model`, or for a loaded `version` of it."""
        exchange = self.begin(model, Head(scope["headers"]))
        outcome: asyncio.Future[Answer] = self._loop.create_future()
        ended: Answer | HttpError
        try:
            body = await self._read(exchange.head, receive)
            self.submit(exchange, version, body, outcome, lambda: client_left(receive))
            ended = await outcome
        except ClientLeft:
            self.abandoned(exchange)
            return
        except HttpError as error:
            ended = error
        except Ended as ending:
            if ending.reason == CLIENT_LEFT:
                self.abandoned(exchange)
                return
            ended = self.ending(model, ending)
        finally:
            model.in_progress -= 1
        trace = exchange.head.traceparent
        if self._tracing is not None:
            status = ended.status
            trace = self._tracing.record(
                scope, status, exchange.started, exchange.request, model.name
            )
        reply = self.reply(exchange, ended, trace)
        await respond(send, reply.status, reply.body, reply.content_type, reply.headers)
        self.answered(exchange, reply.status, scope["path"], trace)

    def begin(self, model: ServedModel, head: Head) -> Exchange:
        """A request came in; whoever calls this counts it out of `model.in_progress`."""
        model.in_progress += 1
        served = model.current.version if model.current else ""
        return Exchange(model, head, head.request_id or next(self._ids), self._loop.time(), served)

    def submit(
        self,
        exchange: Exchange,
        version: str | None,
        body: bytes,
        outcome: Outcome,
        client_left: Callable[[], bool],
    ) -> None:
        """Queue a request, whose `outcome` a host will set.

        Raises:
            HttpError: No such version serves, or too many requests wait.
        """
        model = exchange.model
        generation = _generation(model, version)
        item = Item(exchange.head.content_type, body, exchange.id.decode())
        exchange.request = request = Request(
            rows=weight.rows(item.content_type, body),
            size=len(body),
            arrived=exchange.started,
            deadline=exchange.started + self._settings.request_timeout,
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
        self._deadlines.watch(request)

    def reply(self, exchange: Exchange, ended: Answer | HttpError, trace: bytes) -> Reply:
        """What a request is answered that ended like this.

        Args:
            exchange: The request.
            ended: The answer of a host, or why there is none.
            trace: Its W3C trace context; empty if it has none.
        """
        content_type, extra = JSON, []
        if isinstance(ended, HttpError):
            status, body = ended.status, error_body(ended.code, str(ended))
            extra = ended.headers
        else:
            status, body_type, _, body = ended
            if exchange.request is not None:
                exchange.served = exchange.request.version
            if body_type == TEXT_BODY:
                content_type = TEXT
            if exchange.head.takes_gzip and len(body) >= _GZIP_FROM:
                body = gzip.compress(body, 1, mtime=0)
                extra = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        headers = [
            (b"x-request-id", exchange.id),
            (b"x-model-name", header_text(exchange.model.name)),
            (b"x-model-version", header_text(exchange.served)),
            *extra,
        ]
        if trace:
            headers.append((b"traceresponse", trace))
        return Reply(status, content_type, headers, body)

    def answered(self, exchange: Exchange, status: int, path: str, trace: bytes = b"") -> None:
        """Count and perhaps log a request that was answered."""
        exchange.request = None  # it refers back to here, and cycles wait for the collector
        seconds = self._loop.time() - exchange.started
        name, served = exchange.model.name, exchange.served
        self._metrics.answered(name, served, status, seconds)
        if status >= 500 or self._settings.access_log:
            log = _logger.error if status >= 500 else _access.info
            log(
                "POST %s %d", path, status,
                extra={"request_id": exchange.id.decode(), "model": name, "version": served,
                       "seconds": round(seconds, 6), "trace": trace.decode() or None},
            )  # fmt: skip

    def abandoned(self, exchange: Exchange) -> None:
        """Count a request whose client went away."""
        self._metrics.abandoned.labels(exchange.model.name).inc()

    def ending(self, model: ServedModel, ended: Ended) -> HttpError:
        """What a request is answered that no host answered."""
        if ended.reason == EXPIRED:
            self._metrics.expired.labels(model.name).inc()
            seconds = self._settings.request_timeout
            return HttpError(504, "DEADLINE_EXCEEDED", f"There was no answer within {seconds:g} s.")
        return HttpError(
            503, "TEMPORARILY_UNAVAILABLE", "The model host was lost on this request.",
            [(b"retry-after", b"1")],
        )  # fmt: skip

    async def _read(self, head: Head, receive: Receive) -> bytes:
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


def _generation(model: ServedModel, version: str | None) -> Generation:
    generation = model.current
    if generation is None:
        raise HttpError(
            503, "TEMPORARILY_UNAVAILABLE", "No version serves yet; /readyz says why.",
            [(b"retry-after", b"1")],
        )  # fmt: skip
    if version is not None and version != generation.version:
        raise HttpError(
            404, "RESOURCE_DOES_NOT_EXIST", "This version is not loaded; /readyz says which one is."
        )
    return generation
