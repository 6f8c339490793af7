"""The handling of a prediction request in the front: read, queue, wait, answer.

This is the hot path, so the code is kept minimal.
"""

import asyncio
import gzip
import itertools
import math
import os
from collections.abc import Callable

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.front_log import log_note
from cloche.serving.api.request_observer import RequestObserver
from cloche.serving.api.route_target import RouteTarget, serving_pool
from cloche.serving.processes.frames import BINARY_BODY, TEXT_BODY, Answer, Item
from cloche.serving.queue.deadlines import Deadlines
from cloche.serving.queue.prediction_request import (
    CLIENT_LEFT,
    CUT_OFF,
    EXPIRED,
    HOST_LOST,
    NOT_REPEATED,
    AnswerReceiver,
    PredictionRequest,
    RequestEnded,
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
    read_body,
    respond,
    too_large,
)
from cloche.serving.web.request_headers import RequestHeaders

_GZIP_FROM = 1024
_ROUNDING = 1e-3  # rounding error of added and subtracted times, in seconds
_HOST_LOST = "Two {} were lost on this request, one after the other."
_NOT_REPEATED = (
    "The {} was lost on this request. The version's tag cloche.retry is off: the {} was not asked "
    "again, and may have done its work."
)
_STOPPED = "The server ended before the model answered (--drain-timeout)."
_CONTENT_TYPES = {TEXT_BODY: TEXT, BINARY_BODY: BINARY}


class PredictionService:
    """Answers the prediction requests of one server."""

    def __init__(self, settings: Settings, deadlines: Deadlines, observer: RequestObserver) -> None:
        self.observer = observer
        self._settings = settings
        self._log = observer.log
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        pattern = f"{os.urandom(6).hex()}-%x".encode()
        self._ids = map(pattern.__mod__, itertools.count(1))

    async def answer(self, target: RouteTarget, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request over HTTP."""
        exchange = self.begin(target, scope, RequestHeaders(scope["headers"]))
        outcome: Answer | HttpError
        try:
            if target.protocol.takes_any_type:
                cross_origin.check(exchange.request_headers.content_type, scope["headers"])
            body = await self._read(exchange.request_headers, receive)
            item = item_of(exchange, body)
            outcome = await self.predict(exchange, item, client_left=lambda: client_left(receive))
        except ClientLeft:
            self.observer.client_left(exchange)
            return
        except HttpError as error:
            outcome = error
        finally:
            target.model.in_progress -= 1
        await respond(send, *self.reply(exchange, outcome))
        self.observer.after_answer(exchange, outcome)

    def begin(self, target: RouteTarget, scope: Scope, head: RequestHeaders) -> Exchange:
        """Register a new request; its end must decrement the model's `in_progress`."""
        model = target.model
        model.in_progress += 1
        return Exchange(
            target, scope, head, head.request_id or next(self._ids), self._loop.time(),
            model.current.version if model.current else "", head.traceparent,
            log=None if self._log is None else log_note(scope["headers"]),
        )  # fmt: skip

    async def predict(
        self, exchange: Exchange, item: Item, *,
        client_left: Callable[[], bool], time_limit: float = math.inf,
    ) -> Answer:  # fmt: skip
        """The answer of a model host to `item`; the arguments are those of `submit`.

        Raises:
            HttpError: The request ended without an answer of a host.
            ClientLeft: The client closed its connection.
        """
        receiver: asyncio.Future[Answer] = self._loop.create_future()
        self.submit(exchange, item, receiver, client_left=client_left, time_limit=time_limit)
        try:
            return await receiver
        except RequestEnded as ended:
            raise self.error_of(exchange, ended) from None

    def submit(
        self, exchange: Exchange, item: Item, receiver: AnswerReceiver, *,
        client_left: Callable[[], bool], time_limit: float = math.inf,
    ) -> None:  # fmt: skip
        """Queue a request.

        Raises:
            HttpError: The request cannot be queued.
        """
        model = exchange.target.model
        pool = serving_pool(model, exchange.target.version)
        exchange.request = request = PredictionRequest(
            rows=exchange.target.protocol.rows(item.content_type, item.body),
            size=len(item.body),
            arrived=exchange.started,
            deadline=exchange.started + min(self._settings.request_timeout, time_limit),
            item=item,
            receiver=receiver,
            client_left=client_left,
        )
        arms = model.arms
        queued = pool.submit(request) if arms is None else arms.submit(
            request, pool, headers=exchange.scope["headers"], request_id=exchange.id,
            by_name=exchange.target.version is not None,
        )  # fmt: skip
        if not queued:
            seconds = max(1, math.ceil(pool.seconds_to_drain))
            again = [(b"retry-after", b"%d" % seconds)]
            if self._settings.workers > 1:
                again.append(CLOSE)  # the next connection may reach a worker that has room
            raise HttpError(429, "REQUEST_LIMIT_EXCEEDED", "Too many requests wait already.", again)
        self._deadlines.add(request)

    def error_of(self, exchange: Exchange, ended: RequestEnded) -> HttpError | ClientLeft:
        """The error for a request that no model host answered."""
        if ended.reason == CLIENT_LEFT:
            return ClientLeft()
        request = exchange.request
        stage = request.stages.current if request and request.stages else ""
        if ended.reason in (EXPIRED, CUT_OFF):
            message = self._timeout_message(exchange, ended, stage)
            return HttpError(504, "DEADLINE_EXCEEDED", message)
        if ended.reason == NOT_REPEATED:  # no Retry-After: a retry may repeat effects
            host = f"host of the {stage}" if stage else "model host"
            return HttpError(500, "INTERNAL_ERROR", _NOT_REPEATED.format(host, stage or "model"))
        hosts = f"hosts of the {stage}" if stage else "model hosts"
        reason = _HOST_LOST.format(hosts) if ended.reason == HOST_LOST else _STOPPED
        return HttpError(503, "TEMPORARILY_UNAVAILABLE", reason, [(b"retry-after", b"1")])

    def _timeout_message(self, exchange: Exchange, ended: RequestEnded, stage: str) -> str:
        """The message that names the time limit which the request exceeded, and where."""
        limits = self._settings
        if ended.reason == CUT_OFF and limits.predict_timeout is not None:
            return (
                f"The {stage or 'model'} did not answer within {limits.predict_timeout:g} s "
                "(--predict-timeout), and was not asked again."
            )
        assert exchange.request is not None  # noqa: S101  # it was queued
        seconds = exchange.request.deadline - exchange.started
        own = seconds < limits.request_timeout - _ROUNDING
        whose = "the client's own" if own else "--request-timeout"
        where = f" The {stage} had the request." if stage else ""
        return f"There was no answer within {seconds:g} s ({whose}).{where}"

    def reply(
        self, exchange: Exchange, outcome: Answer | HttpError
    ) -> tuple[int, bytes, bytes, HeaderList]:
        """Return status, body, content type and headers of the answer over HTTP, and trace it."""
        content_type, extra = JSON, []
        if isinstance(outcome, HttpError):
            status, body = outcome.status, exchange.target.protocol.error(outcome)
            extra = outcome.headers
        else:
            status, body_type, _, body, json_size = outcome
            if body_type:
                content_type = _CONTENT_TYPES[body_type]
            if exchange.request_headers.takes_gzip and len(body) >= _GZIP_FROM:
                body = gzip.compress(body, 1, mtime=0)
                extra = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
            if json_size:
                extra.append((b"inference-header-content-length", b"%d" % json_size))
        self.observer.before_answer(exchange, outcome)
        return status, body, content_type, exchange.answer_headers() + extra

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
    head, protocol = exchange.request_headers, exchange.target.protocol
    size = head.json_size if protocol.has_binary_data else 0
    if size and not 0 < size <= len(body):
        raise HttpError(
            400, "BAD_REQUEST",
            "Inference-Header-Content-Length must be the length of the JSON that the body begins "
            "with.",
        )  # fmt: skip
    return Item(
        head.content_type, body, exchange.id.decode(), protocol.name, size, log=exchange.log
    )
