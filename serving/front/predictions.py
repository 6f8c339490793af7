"""The way of a prediction request through the front: read, queue, wait, answer.

This is the hot path; it is kept bare.
"""

import asyncio
import gzip
import itertools
import logging
import math
import os

from serving.front import weight
from serving.front.deadlines import Deadlines
from serving.front.generation import Generation
from serving.front.head import Head
from serving.front.metrics import Metrics
from serving.front.model import ServedModel
from serving.front.request import CLIENT_LEFT, EXPIRED, Ended, Request
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
    read_body,
    respond,
    too_large,
)
from serving.host.frames import TEXT_BODY, Answer, Item

_GZIP_FROM = 1024
_access = logging.getLogger("serving.access")
_logger = logging.getLogger(__name__)


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

    async def answer(
        self, model: ServedModel, version: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request for `model`, or for a loaded `version` of it."""
        started = self._loop.time()
        head = Head(scope["headers"])
        request_id = head.request_id or next(self._ids)
        served = model.current.version if model.current else ""
        request: Request | None = None
        extra: HeaderList = []
        content_type = JSON
        model.in_progress += 1
        try:
            body = await self._read(head, receive)
            item = Item(head.content_type, body, request_id.decode())
            request = self._submit(model, version, item, receive, started)
            status, body_type, _, body = await self._outcome(model, request)
            served = request.version
            if body_type == TEXT_BODY:
                content_type = TEXT
            if head.takes_gzip and len(body) >= _GZIP_FROM:
                body = gzip.compress(body, 1, mtime=0)
                extra = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        except ClientLeft:
            self._metrics.abandoned.labels(model.name).inc()
            return
        except HttpError as error:
            status, body, extra = error.status, error_body(error.code, str(error)), error.headers
        finally:
            model.in_progress -= 1
        trace = head.traceparent
        if self._tracing is not None:
            trace = self._tracing.record(scope, status, started, request, model.name)
        if trace:
            extra = [*extra, (b"traceresponse", trace)]
        await respond(send, status, body, content_type, [
            (b"x-request-id", request_id),
            (b"x-model-name", model.name.encode("latin-1", "replace")),
            (b"x-model-version", served.encode("latin-1", "replace")),
            *extra,
        ])  # fmt: skip
        seconds = self._loop.time() - started
        self._metrics.answered(model.name, served, status, seconds)
        if status >= 500 or self._settings.access_log:
            log = _logger.error if status >= 500 else _access.info
            log(
                "%s %s %d", scope["method"], scope["path"], status,
                extra={"request_id": request_id.decode(), "model": model.name, "version": served,
                       "seconds": round(seconds, 6), "trace": trace.decode() or None},
            )  # fmt: skip

    def _submit(
        self, model: ServedModel, version: str | None, item: Item, receive: Receive, started: float
    ) -> Request:
        """Queue a request."""
        generation = _generation(model, version)
        request = Request(
            rows=weight.rows(item.content_type, item.body),
            size=len(item.body),
            arrived=started,
            deadline=started + self._settings.request_timeout,
            item=item,
            outcome=self._loop.create_future(),
            client_left=lambda: client_left(receive),
        )
        if not generation.submit(request):
            self._metrics.rejected.labels(model.name, "queue full").inc()
            raise HttpError(
                429, "REQUEST_LIMIT_EXCEEDED", "Too many requests wait already.",
                [(b"retry-after", b"%d" % max(1, math.ceil(generation.seconds_to_drain)))],
            )  # fmt: skip
        self._deadlines.watch(request)
        return request

    async def _outcome(self, model: ServedModel, request: Request) -> Answer:
        try:
            return await request.outcome
        except Ended as ended:
            raise self._ending(model, ended) from None

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

    def _ending(self, model: ServedModel, ended: Ended) -> HttpError | ClientLeft:
        if ended.reason == CLIENT_LEFT:
            return ClientLeft()
        if ended.reason == EXPIRED:
            self._metrics.expired.labels(model.name).inc()
            seconds = self._settings.request_timeout
            return HttpError(504, "DEADLINE_EXCEEDED", f"There was no answer within {seconds:g} s.")
        return HttpError(
            503, "TEMPORARILY_UNAVAILABLE", "The model host was lost on this request.",
            [(b"retry-after", b"1")],
        )  # fmt: skip


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
