"""The Open Inference Protocol over gRPC: the same models, queue, limits and keys as over HTTP.

What the host scores passes through here unparsed; only the model's name is read.
"""

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError

from cloche.serving.front import described, forms
from cloche.serving.front.access import Access
from cloche.serving.front.catalog import Catalog
from cloche.serving.front.grpc import call as calls
from cloche.serving.front.grpc import health
from cloche.serving.front.grpc.call import Call, Refusal, Refused, Status
from cloche.serving.front.grpc.connection import Connection
from cloche.serving.front.grpc.headers import fields
from cloche.serving.front.grpc.house import House
from cloche.serving.front.grpc.stream import Stream
from cloche.serving.front.listening import BACKLOG
from cloche.serving.front.model import ServedModel
from cloche.serving.front.predictions import Exchange, Predictions
from cloche.serving.front.request import EXPIRED
from cloche.serving.front.running import Running
from cloche.serving.front.settings import Settings
from cloche.serving.front.target import Target, serving_generation
from cloche.serving.front.waiting import Waiting
from cloche.serving.front.web import ClientLeft, HttpError, header_name
from cloche.serving.host.codecs.messages import SERVICE, message
from cloche.serving.host.frames import Answer, Item

_INFER = f"/{SERVICE}/ModelInfer"
_FREE = frozenset((  # of keys: probes have none
    f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady", f"/{health.SERVICE}/Check",
))  # fmt: skip
_TICK_SECONDS = 1.0
_STATUSES = {
    200: Status.OK,
    401: Status.UNAUTHENTICATED,
    404: Status.NOT_FOUND,
    408: Status.DEADLINE_EXCEEDED,
    413: Status.RESOURCE_EXHAUSTED,
    429: Status.RESOURCE_EXHAUSTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}
_Target = message("ModelInferTarget")
_logger = logging.getLogger(__name__)


class Door:
    """Answers calls about the models of `catalog`."""

    def __init__(
        self, catalog: Catalog, predictions: Predictions, access: Access, max_body: int
    ) -> None:
        self._catalog = catalog
        self._predictions = predictions
        self._access = access
        self._max_body = max_body
        self._loop = asyncio.get_running_loop()
        self._methods: dict[str, Callable[[bytes], bytes]] = {
            f"/{SERVICE}/ServerLive": self._server_live,
            f"/{SERVICE}/ServerReady": self._server_ready,
            f"/{SERVICE}/ServerMetadata": self._server_metadata,
            f"/{SERVICE}/ModelReady": self._model_ready,
            f"/{SERVICE}/ModelMetadata": self._model_metadata,
            f"/{health.SERVICE}/Check": self._check,
        }

    def implements(self, call: Call) -> bool:
        """Whether there is such a method."""
        return call.path == _INFER or call.path in self._methods

    def admits(self, call: Call) -> bool:
        """Whether the message of a call is looked at."""
        try:
            self._admit(call)
        except (Refused, HttpError):
            return False
        return True

    def serve(self, stream: Stream, body: bytes) -> None:
        """Answer a call, at once or when a host did."""
        call = stream.call
        try:
            self._admit(call)
            told = calls.message(call, body, self._max_body)
            if call.path == _INFER:
                self._infer(stream, told)
            else:
                stream.answer(self._methods[call.path](told), calls.closing(Status.OK))
        except Refused as error:
            status, why, http_status = error.refusal
            stream.refuse(calls.closing(status, why), http_status)
        except HttpError as error:
            stream.refuse(calls.closing(_status(error.status), str(error)))
        except DecodeError:
            stream.refuse(calls.closing(Status.INVALID_ARGUMENT, "The message cannot be read."))
        except Exception:
            _logger.exception("A call failed in the front.")
            stream.refuse(calls.closing(Status.INTERNAL, "The server failed on this call."))

    def _admit(self, call: Call) -> None:
        """Let a call pass, as far as its head says.

        Raises:
            Refused: It is none, or of no method.
            HttpError: It carries no key, and needs one.
        """
        if call.refused is not None:
            raise Refused(call.refused)
        if not self.implements(call):
            raise Refused(Refusal(Status.UNIMPLEMENTED, "There is no such method."))
        if call.path not in _FREE:
            self._access.check(call.scope["headers"])

    def _infer(self, stream: Stream, body: bytes) -> None:
        call = stream.call
        target = self._target(body)
        exchange = self._predictions.begin(target, call.scope, call.head)
        waiting = _Waiting(self._predictions, exchange, stream)
        patience = call.timeout
        if patience < math.inf:
            patience -= self._loop.time() - stream.since
            if patience <= 0:
                waiting.end(HttpError(504, "DEADLINE_EXCEEDED", "The message came too late."))
                return
            waiting.timer = self._loop.call_later(patience, waiting.expire)
        try:
            self._predictions.submit(
                exchange,
                Item("", body, exchange.id.decode(), forms.GRPC.door),
                waiting,
                client_left=stream.has_left,
                patience=patience,
            )
        except HttpError as error:
            waiting.end(error)

    def _target(self, body: bytes) -> Target:
        """Whom a ModelInferRequest is for."""
        try:
            named = _Target.FromString(body)
        except DecodeError:
            raise HttpError(400, "BAD_REQUEST", "The message is no ModelInferRequest.") from None
        model = self._model(named.model_name)
        return Target(model, named.model_version or None, forms.GRPC, _INFER)

    def _model(self, name: str) -> ServedModel:
        model = self._catalog.get(name)
        if model is None:
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST", "This server does not serve a model of this name."
            )
        return model

    def _server_live(self, _: bytes) -> bytes:
        return _written("ServerLiveResponse", live=True)

    def _server_ready(self, _: bytes) -> bytes:
        return _written("ServerReadyResponse", ready=self._catalog.ready)

    def _check(self, body: bytes) -> bytes:
        if health.service(body) not in ("", SERVICE):
            raise Refused(Refusal(Status.NOT_FOUND, "There is no such service."))
        return health.told(serving=self._catalog.ready)

    def _server_metadata(self, _: bytes) -> bytes:
        return _written("ServerMetadataResponse", **described.server())

    def _model_ready(self, body: bytes) -> bytes:
        asked = message("ModelReadyRequest").FromString(body)
        generation = self._model(asked.name).current
        ready = generation is not None and (
            generation.ready and asked.version in ("", generation.version)
        )
        return _written("ModelReadyResponse", ready=ready)

    def _model_metadata(self, body: bytes) -> bytes:
        asked = message("ModelMetadataRequest").FromString(body)
        generation = serving_generation(self._model(asked.name), asked.version or None)
        signature = generation.description.get("signature") or {}
        told = described.open_inference(generation.model, generation.version, signature)
        return _written("ModelMetadataResponse", **told)


class _Waiting(Waiting):
    """A call that waits."""

    __slots__ = ("_stream", "timer")

    def __init__(self, predictions: Predictions, exchange: Exchange, stream: Stream) -> None:
        super().__init__(predictions, exchange)
        self._stream = stream
        self.timer: asyncio.TimerHandle | None = None

    def end(self, ended: Answer | HttpError | ClientLeft) -> None:
        """Answer it, and wait no longer."""
        if self.timer is not None:
            self.timer.cancel()
        super().end(ended)

    def answer(self, ended: Answer | HttpError) -> int:
        """Send it, with what is told of it after the message."""
        exchange = self.exchange
        status, told = ended.status, ""
        if isinstance(ended, HttpError):
            told = str(ended)
        elif status != 200:
            told = ended.body.decode()
        self.predictions.trace(exchange, status)
        ending = _closing(_status(status), told, exchange.target.model.name, exchange.version)
        own = [(b"x-request-id", exchange.id)]
        if exchange.trace:
            own.append((b"traceresponse", exchange.trace))
        ending += fields(own)
        if isinstance(ended, Answer) and status == 200:
            self._stream.answer(ended.body, ending)
        else:
            self._stream.refuse(ending)
        return status

    def expire(self) -> None:
        """End it: the client said that it waits no longer."""
        if self.exchange.request is not None:
            self.exchange.request.end(EXPIRED)


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, at_work: Running, listener: socket.socket
) -> AsyncIterator[None]:
    """The door, for as long as the context lasts; then what runs is finished within a while."""
    loop = asyncio.get_running_loop()
    door = Door(at_work.catalog, at_work.predictions, at_work.access, settings.max_body)
    house = House(
        implements=door.implements,
        admits=door.admits,
        serve=door.serve,
        message=settings.max_body,
        unfinished=settings.max_queue_bytes,
        connections=settings.max_connections,
        patience=settings.client_timeout,
        clock=loop.time,
    )
    tls = _tls(settings)
    server = await loop.create_server(
        lambda: Connection(house), sock=listener, backlog=BACKLOG, ssl=tls,
        ssl_handshake_timeout=settings.client_timeout if tls else None,
    )  # fmt: skip
    host, port = listener.getsockname()[:2]
    _logger.info(
        "Listening for gRPC on %s", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    )
    looking = asyncio.create_task(_look_after(house))
    try:
        yield
    finally:
        server.close()
        await house.close(settings.drain_timeout)
        looking.cancel()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    context.set_alpn_protocols(["h2"])
    return context


async def _look_after(house: House) -> None:
    """End what takes its client too long, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        now = loop.time()
        for connection in list(house.open):
            try:
                connection.look(now)
            except Exception:
                _logger.exception("A connection failed in the front.")
                connection.close()


@lru_cache(64)
def _closing(status: Status, told: str, model: str, version: str) -> bytes:
    """How the headers of an answer by a version end, but for what is the call's own."""
    metadata = (
        (b"x-model-name", header_name(model)),
        (b"x-model-version", version.encode("ascii", "replace")),
    )
    return calls.closing(status, told, metadata)


def _status(http: int) -> Status:
    """The gRPC status of an HTTP status."""
    return _STATUSES.get(http, Status.INTERNAL if http >= 500 else Status.INVALID_ARGUMENT)


def _written(name: str, /, **fields: Any) -> bytes:
    serialized: bytes = message(name)(**fields).SerializeToString()
    return serialized
