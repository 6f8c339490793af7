"""The Open Inference Protocol over gRPC: the same models, queue, limits and keys as over HTTP.

What the host scores passes through here unparsed; only the model's name is read. gRPC comes with
an extra, so `grpc` is imported when the door is opened.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from serving.errors import SettingsError
from serving.front import described, forms
from serving.front.access import Access
from serving.front.catalog import Catalog
from serving.front.head import Head
from serving.front.model import ServedModel
from serving.front.predictions import Predictions
from serving.front.settings import Settings
from serving.front.target import Target, serving_generation
from serving.front.web import ClientLeft, HttpError, Scope
from serving.host.codecs.messages import SERVICE, message
from serving.host.frames import Item

if TYPE_CHECKING:  # an optional extra
    from grpc import StatusCode
    from grpc.aio import ServicerContext

Handler = Callable[[bytes, "ServicerContext[bytes, bytes]"], Awaitable[bytes]]
HeaderList = list[tuple[bytes, bytes]]

_PATH = f"/{SERVICE}/ModelInfer"
_CODES = {
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_Target = message("ModelInferTarget")
_logger = logging.getLogger(__name__)


class GrpcDoor:
    """A gRPC server for the models of `catalog`."""

    def __init__(
        self, settings: Settings, catalog: Catalog, predictions: Predictions, access: Access
    ) -> None:
        import grpc.aio  # noqa: PLC0415  # an optional extra

        self._grpc = grpc
        self._settings = settings
        self._catalog = catalog
        self._predictions = predictions
        self._access = access
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_body),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=settings.max_connections,
        )
        handlers = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._guarded(self._server_metadata),
            "ModelReady": self._guarded(self._model_ready),
            "ModelMetadata": self._guarded(self._model_metadata),
            "ModelInfer": self._infer,
        }
        self._server.add_generic_rpc_handlers([
            grpc.method_handlers_generic_handler(
                SERVICE,
                {
                    name: grpc.unary_unary_rpc_method_handler(handler)
                    for name, handler in handlers.items()
                },
            )
        ])  # fmt: skip

    async def open(self) -> None:
        """Listen.

        Raises:
            SettingsError: The port is not free, or not for this user.
        """
        host, port = self._settings.host, self._settings.grpc_port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        try:
            if certificate and key:
                pair = (key.read_bytes(), certificate.read_bytes())
                credentials = self._grpc.ssl_server_credentials([pair])
                bound = self._server.add_secure_port(address, credentials)
            else:
                bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise SettingsError(
                f"Cannot listen on {address}. Choose another --grpc-port or --host."
            ) from error
        await self._server.start()
        _logger.info("Listening for gRPC on %s", f"{address.rpartition(':')[0]}:{bound}")

    async def close(self) -> None:
        """Finish what runs, for as long as the settings say, then end."""
        await self._server.stop(self._settings.drain_timeout)

    async def _infer(self, body: bytes, context: "ServicerContext[bytes, bytes]") -> bytes:
        headers = _headers(context)
        try:
            self._access.check(headers)
            target = self._target(body)
        except HttpError as error:
            return await self._abort(context, error.status, str(error))
        scope: Scope = {
            "method": "POST",
            "path": _PATH,
            "headers": headers,
            "scheme": "https" if self._settings.tls_key else "http",
            "http_version": "2",
        }
        exchange = self._predictions.begin(target, scope, Head(headers))
        left = context.time_remaining()
        try:
            status, _, _, answer, _ = await self._predictions.ask(
                exchange,
                Item("", body, exchange.id.decode(), forms.GRPC.door),
                client_left=context.cancelled,
                patience=math.inf if left is None else left,
            )
        except HttpError as error:
            status, answer = error.status, forms.GRPC.error(error)
        except (ClientLeft, asyncio.CancelledError):
            self._predictions.abandon(exchange)
            raise
        finally:
            target.model.in_progress -= 1
        self._predictions.trace(exchange, status)
        context.set_trailing_metadata(
            (
                ("x-request-id", exchange.id.decode()),
                ("x-model-name", target.model.name.encode("ascii", "replace").decode()),
                ("x-model-version", exchange.version.encode("ascii", "replace").decode()),
                *((("traceresponse", exchange.trace.decode()),) if exchange.trace else ()),
            )
        )
        self._predictions.count(exchange, status)
        if status == 200:
            return answer
        return await self._abort(context, status, answer.decode())

    def _target(self, body: bytes) -> Target:
        """Whom a ModelInferRequest is for."""
        try:
            named = _Target.FromString(body)
        except DecodeError:
            raise HttpError(400, "BAD_REQUEST", "The message is no ModelInferRequest.") from None
        return Target(self._model(named.model_name), named.model_version or None, forms.GRPC, _PATH)

    def _model(self, name: str) -> ServedModel:
        model = self._catalog.get(name)
        if model is None:
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST", "This server does not serve a model of this name."
            )
        return model

    async def _abort(
        self, context: "ServicerContext[bytes, bytes]", status: int, told: str
    ) -> bytes:
        await context.abort(self._code(status), told)
        raise AssertionError  # an abort raises what grpc catches

    def _code(self, status: int) -> "StatusCode":
        """The gRPC code of an HTTP status."""
        name = _CODES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        code: StatusCode = self._grpc.StatusCode[name]
        return code

    def _guarded(self, tell: Callable[[bytes], bytes]) -> Handler:
        """A handler that asks for a key and tells its errors."""

        async def handler(body: bytes, context: "ServicerContext[bytes, bytes]") -> bytes:
            try:
                self._access.check(_headers(context))
                return tell(body)
            except DecodeError:
                return await self._abort(context, 400, "The message cannot be read.")
            except HttpError as error:
                return await self._abort(context, error.status, str(error))

        return handler

    async def _server_live(self, _: bytes, __: object) -> bytes:
        return _written("ServerLiveResponse", live=True)

    async def _server_ready(self, _: bytes, __: object) -> bytes:
        return _written("ServerReadyResponse", ready=self._catalog.ready)

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


def _written(name: str, /, **fields: Any) -> bytes:
    serialized: bytes = message(name)(**fields).SerializeToString()
    return serialized


def _headers(context: "ServicerContext[bytes, bytes]") -> HeaderList:
    """The call's metadata, as HTTP has headers; but nobody checked a length that it says."""
    return [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in context.invocation_metadata() or ()
        if name != "content-length"
    ]


def require() -> None:
    """Notice early that gRPC is missing.

    Raises:
        SettingsError: It is.
    """
    try:
        import grpc.aio  # noqa: F401, PLC0415  # an optional extra
    except ImportError as error:
        raise SettingsError(
            "--grpc-port needs a package that is not installed: pip install 'cloche[grpc]'"
        ) from error
