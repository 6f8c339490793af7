"""The servers on the sockets: uvicorn for HTTP, grpcio for gRPC."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import uvicorn

from cloche.serving.http.connection import Connection, close_slow_connections
from cloche.serving.http.connection_phases import PhaseLimits
from cloche.serving.server.runtime import Runtime
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.answer_headers import ANSWER_HEADERS
from cloche.serving.web.sockets import authority, is_loopback

_KEEP_ALIVE_SECONDS = 75
_logger = logging.getLogger(__name__)


def runner() -> asyncio.Runner:
    """A runner with the event loop that uvicorn chooses."""
    return asyncio.Runner(loop_factory=uvicorn.Config(_nothing, log_config=None).get_loop_factory())


class Server(uvicorn.Server):
    """uvicorn's server, without its own signal handlers.

    They raise the signal again after the shutdown; Cloche exits with code 0.

    Attributes:
        listening: Set when connections are accepted.
    """

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        super().__init__(_uvicorn_config(settings, runtime))
        self.listening = asyncio.Event()
        self._settings = settings
        self._runtime = runtime

    async def answer(self, listener: socket.socket, grpc_listener: socket.socket | None) -> None:
        """Answer requests until `stop` is called, and finish what runs by then."""
        settings = self._settings
        slow = asyncio.create_task(
            close_slow_connections(self.server_state.connections, _phase_limits(settings))
        )
        gc.freeze()  # garbage collections under load skip the objects that exist now
        try:
            async with _grpc_server(settings, self._runtime, grpc_listener):
                await self.serve([listener])
        finally:
            slow.cancel()

    def stop(self) -> None:
        """Accept no more connections, and have `answer` end."""
        self._runtime.models.draining = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Keep the signal handlers of the caller."""
        yield


def log_listening(settings: Settings, listener: socket.socket) -> None:
    """Log where the server listens."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    _logger.info("Listening on %s://%s", scheme, authority(host, port))


def log_hosts(settings: Settings, hosts: AllowedHosts) -> None:
    """Log which hosts may be asked for, if that may surprise."""
    if hosts.guarded and not is_loopback(settings.host):
        _logger.info(
            "Requests are answered for addresses and for names that nobody can register (one word, "
            "or ending in .local, .internal, .svc and the like), and get 403 for others: name "
            "those with --allowed-hosts, or set API keys."
        )


def _phase_limits(settings: Settings) -> PhaseLimits:
    return PhaseLimits(
        client=settings.client_timeout, request=settings.request_timeout, idle=_KEEP_ALIVE_SECONDS
    )


def _grpc_server(
    settings: Settings, runtime: Runtime, listener: socket.socket | None
) -> AbstractAsyncContextManager[None]:
    """A context in which the gRPC server runs, if `--grpc-port` is set."""
    if listener is None:
        return contextlib.nullcontext()
    from cloche.serving.grpc import server  # noqa: PLC0415  # needs an optional extra
    from cloche.serving.grpc.answers import Answers  # noqa: PLC0415

    answers = Answers(
        runtime.models, runtime.predictions, runtime.state.is_ready, settings.request_timeout
    )
    return server.run_server(settings, runtime.access, answers.answer, listener)


def _uvicorn_config(settings: Settings, runtime: Runtime) -> uvicorn.Config:
    connection: Any = partial(Connection, fast_path=runtime.fast_path)
    return uvicorn.Config(
        runtime.application,
        http=connection,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        headers=ANSWER_HEADERS,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_timeout),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


async def _nothing(*_: object) -> None:
    """A placeholder: `uvicorn.Config` needs an application even to choose the event loop."""
