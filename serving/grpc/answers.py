"""The answers to gRPC calls, with the same models, queue, limits and API keys as over HTTP.

Prediction requests pass through here unparsed, except for the name and version of the model.
Everything runs in the event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from grpc import StatusCode

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.pending_response import PendingResponse
from cloche.serving.api.predictions import PredictionService
from cloche.serving.api.route_target import RouteTarget, serving_pool
from cloche.serving.background_tasks import Tasks
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.grpc import health
from cloche.serving.host.codecs.open_inference.messages import SERVICE, message
from cloche.serving.processes.frames import Answer, Item
from cloche.serving.protocols import open_inference
from cloche.serving.protocols.open_inference import OPEN_INFERENCE_GRPC
from cloche.serving.queue.prediction_request import EXPIRED
from cloche.serving.web.asgi import ClientLeft, HeaderList, HttpError, bad_request
from cloche.serving.web.request_headers import RequestHeaders

_INFER = f"/{SERVICE}/ModelInfer"
PROBES = frozenset((
    f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady", f"/{health.SERVICE}/Check",
))  # fmt: skip
"""Methods that need no API key."""
METHODS = PROBES | {
    f"/{SERVICE}/{name}" for name in ("ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")
}
_LONGEST_TEXT = 2048  # bytes: clients accept 8 KiB of headers, and percent-encoding may triple them
_STATUSES = {
    200: StatusCode.OK,
    401: StatusCode.UNAUTHENTICATED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    413: StatusCode.RESOURCE_EXHAUSTED,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}
_Target = message("ModelInferTarget")
_logger = logging.getLogger(__name__)
Metadata = tuple[tuple[str, bytes], ...]


class Reply(NamedTuple):
    """The end of a call: a message, or a status with a text that gives the reason."""

    status: StatusCode
    text: str = ""
    message: bytes = b""
    metadata: Metadata = ()


class Call(NamedTuple):
    """A call whose message was received completely.

    Attributes:
        path: The name of the method, with its service.
        headers: The metadata of the call.
        body: The serialized message.
        scheme: `http` or `https`.
        time_limit: The client's timeout, in seconds.
        is_active: Returns whether the client still waits.
        answered: The future that receives the answer.
    """

    path: str
    headers: HeaderList
    body: bytes
    scheme: str
    time_limit: float
    is_active: Callable[[], bool]
    answered: Future[Reply]

    def end(self, reply: Reply) -> None:
        """Answer the call, unless the server has stopped."""
        if self.answered.set_running_or_notify_cancel():
            self.answered.set_result(reply)


class Answers:
    """Answers calls about `models`."""

    def __init__(
        self, models: ServedModels, predictions: PredictionService,
        is_ready: Callable[[], Awaitable[bool]], request_timeout: float,
    ) -> None:  # fmt: skip
        self._models = models
        self._is_ready = is_ready
        self._tasks = Tasks()
        self._predictions = predictions
        self._request_timeout = request_timeout
        self._loop = asyncio.get_running_loop()
        self._methods: dict[str, Callable[[bytes], bytes]] = {
            f"/{SERVICE}/ServerLive": self._server_live,
            f"/{SERVICE}/ServerMetadata": self._server_metadata,
            f"/{SERVICE}/ModelReady": self._model_ready,
            f"/{SERVICE}/ModelMetadata": self._model_metadata,
        }
        self._ready_methods = {
            f"/{SERVICE}/ServerReady": self._server_ready,
            f"/{health.SERVICE}/Check": self._check,
        }

    def answer(self, call: Call) -> None:
        """Answer a call: at once, or when a model host or the workers' parent has answered it."""
        with _ended_on_error(call):
            if call.path == _INFER:
                self._infer(call)
            elif (method := self._ready_methods.get(call.path)) is not None:
                self._tasks.start(self._answer_ready(call, method))
            else:
                call.end(Reply(StatusCode.OK, message=self._methods[call.path](call.body)))

    async def _answer_ready(self, call: Call, method: Callable[[bytes, bool], bytes]) -> None:
        """Answer whether the whole server is ready."""
        with _ended_on_error(call):
            ready = await self._is_ready()
            call.end(Reply(StatusCode.OK, message=method(call.body, ready)))

    def _infer(self, call: Call) -> None:
        scope = {
            "method": "POST",
            "path": call.path,
            "headers": call.headers,
            "scheme": call.scheme,
            "http_version": "2",
        }
        target = self._target(call.body)
        exchange = self._predictions.begin(target, scope, RequestHeaders(call.headers))
        waiting = _CallResponse(self._predictions, exchange, call)
        if call.time_limit < self._request_timeout:  # longer ones end by `Deadlines`
            waiting.timer = self._loop.call_later(call.time_limit, waiting.expire)
        name = exchange.id.decode()
        item = Item("", call.body, name, OPEN_INFERENCE_GRPC.name, log=exchange.log)
        try:
            self._predictions.submit(
                exchange,
                item,
                waiting,
                client_left=lambda: not call.is_active(),
                time_limit=call.time_limit,
            )
        except HttpError as error:
            waiting.end(error)

    def _target(self, body: bytes) -> RouteTarget:
        """The target of a ModelInferRequest."""
        try:
            named = _Target.FromString(body)
        except DecodeError:
            raise bad_request("The message is no ModelInferRequest.") from None
        model = self._model(named.model_name)
        return RouteTarget(model, named.model_version or None, OPEN_INFERENCE_GRPC, _INFER)

    def _model(self, name: str) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST", "This server does not serve a model of this name."
            )
        return model

    def _server_live(self, _: bytes) -> bytes:
        return _serialized("ServerLiveResponse", live=True)

    def _server_ready(self, _: bytes, ready: bool) -> bytes:
        return _serialized("ServerReadyResponse", ready=ready)

    def _check(self, body: bytes, ready: bool) -> bytes:
        if health.service(body) not in ("", SERVICE):
            raise HttpError(404, "RESOURCE_DOES_NOT_EXIST", "There is no such service.")
        return health.health_response(serving=ready)

    def _server_metadata(self, _: bytes) -> bytes:
        return _serialized("ServerMetadataResponse", **open_inference.server_metadata())

    def _model_ready(self, body: bytes) -> bytes:
        asked = message("ModelReadyRequest").FromString(body)
        pool = self._model(asked.name).current
        ready = pool is not None and (pool.ready and asked.version in ("", pool.version))
        return _serialized("ModelReadyResponse", ready=ready)

    def _model_metadata(self, body: bytes) -> bytes:
        asked = message("ModelMetadataRequest").FromString(body)
        pool = serving_pool(self._model(asked.name), asked.version or None)
        metadata = open_inference.model_metadata(pool.model, pool.version, pool.description)
        return _serialized("ModelMetadataResponse", **metadata)


class _CallResponse(PendingResponse):
    """A ModelInfer call that waits for a model host."""

    __slots__ = ("_call", "timer")

    def __init__(self, predictions: PredictionService, exchange: Exchange, call: Call) -> None:
        super().__init__(predictions, exchange)
        self._call = call
        self.timer: asyncio.TimerHandle | None = None

    def end(self, outcome: Answer | HttpError | ClientLeft) -> None:
        """Answer the call, and cancel its timer."""
        if self.timer is not None:
            self.timer.cancel()
        super().end(outcome)
        if isinstance(outcome, ClientLeft):
            self._call.end(Reply(StatusCode.CANCELLED))  # releases its thread

    def answer(self, outcome: Answer | HttpError) -> None:
        """Send the answer with its trailing metadata."""
        exchange = self.exchange
        self.predictions.observer.before_answer(exchange, outcome)
        if isinstance(outcome, HttpError):
            reply = reply_to_error(outcome)
        elif outcome.status == 200:
            reply = Reply(StatusCode.OK, message=outcome.body)
        else:
            reply = _error_reply(outcome.status, outcome.body.decode())
        metadata = tuple((name.decode(), value) for name, value in exchange.answer_headers())
        self._call.end(reply._replace(metadata=metadata))

    def expire(self) -> None:
        """End the request because the client's own timeout has passed."""
        if self.exchange.request is not None:
            self.exchange.request.end(EXPIRED)


@contextlib.contextmanager
def _ended_on_error(call: Call) -> Iterator[None]:
    """End a call by the error that answering it raises."""
    try:
        yield
    except HttpError as error:
        call.end(reply_to_error(error))
    except DecodeError:
        call.end(Reply(StatusCode.INVALID_ARGUMENT, "The message cannot be read."))
    except Exception:
        _logger.exception("A call failed in the front.")
        call.end(Reply(StatusCode.INTERNAL, "The server failed on this call."))


def reply_to_error(error: HttpError) -> Reply:
    """The end of a call that is refused with an error of the HTTP front."""
    return _error_reply(error.status, str(error))


def _error_reply(http_status: int, text: str) -> Reply:
    other = StatusCode.INTERNAL if http_status >= 500 else StatusCode.INVALID_ARGUMENT
    status = _STATUSES.get(http_status, other)
    return Reply(status, text.encode("utf-8", "replace")[:_LONGEST_TEXT].decode("utf-8", "ignore"))


def _serialized(name: str, /, **fields: Any) -> bytes:
    serialized: bytes = message(name)(**fields).SerializeToString()
    return serialized
