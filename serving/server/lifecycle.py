"""The life of the server process: it opens sockets, loads models, handles signals, and ends."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import uvicorn

from cloche.serving.http.connection import Connection, end_slow_ones
from cloche.serving.http.connection_phases import PhaseLimits
from cloche.serving.registry.uri import ModelUri
from cloche.serving.server import preflight
from cloche.serving.server.runtime import Runtime, running
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import AllowedHosts, allowed_hosts
from cloche.serving.web.answer_headers import ANSWER_HEADERS
from cloche.serving.web.sockets import authority, is_loopback, listen

_KEEP_ALIVE_SECONDS = 75
# Without a handler, each of these signals would end the process; other servers rotate logs on them.
_IGNORED_SIGNALS = (
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF
)  # fmt: skip
_logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends the server.

    Raises:
        ServingError: The server cannot start.
    """
    uris = preflight.check(settings)
    listener = listen(settings.host, settings.port)
    for_grpc = None
    if settings.grpc_port is not None:
        for_grpc = listen(settings.host, settings.grpc_port, "--grpc-port")
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(settings, uris, listener, for_grpc))


async def _serve(
    settings: Settings, uris: list[ModelUri], listener: socket.socket,
    for_grpc: socket.socket | None,
) -> None:  # fmt: skip
    async with running(settings, uris, _hosts(settings)) as at_work:
        server = _Server(_uvicorn_config(settings, at_work))
        catalog = at_work.catalog
        slow = asyncio.create_task(
            end_slow_ones(server.server_state.connections, _phase_limits(settings))
        )
        loop = asyncio.get_running_loop()

        def stop(name: str) -> None:
            _logger.info("%s: finishing what runs, then ending.", name)
            catalog.draining = True
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, catalog.wake)
        for number in _IGNORED_SIGNALS:
            loop.add_signal_handler(number, _tell_unknown, number.name)
        host, port = listener.getsockname()[:2]
        scheme = "https" if settings.tls_certificate else "http"
        _logger.info("Listening on %s://%s", scheme, authority(host, port))
        gc.freeze()  # garbage collections under load skip the objects that exist now
        try:
            async with _grpc_server(settings, at_work, for_grpc):
                await server.serve([listener])
        finally:
            slow.cancel()
    _logger.info("Ended.")


def _hosts(settings: Settings) -> AllowedHosts:
    hosts = allowed_hosts(settings)
    if hosts.guarded and not is_loopback(settings.host):
        _logger.info(
            "Requests are answered for addresses and for names that nobody can register (one word, "
            "or ending in .local, .internal, .svc and the like), and get 403 for others: name "
            "those with --allowed-hosts, or set API keys."
        )
    return hosts


def _phase_limits(settings: Settings) -> PhaseLimits:
    return PhaseLimits(
        client=settings.client_timeout, request=settings.request_timeout, idle=_KEEP_ALIVE_SECONDS
    )


def _tell_unknown(name: str) -> None:
    _logger.warning("%s means nothing to this server, and changes nothing.", name)


def _grpc_server(
    settings: Settings, at_work: Runtime, listener: socket.socket | None
) -> AbstractAsyncContextManager[None]:
    """A context in which the gRPC server runs, if `--grpc-port` is set."""
    if listener is None:
        return contextlib.nullcontext()
    from cloche.serving.grpc import server  # noqa: PLC0415  # needs an optional extra
    from cloche.serving.grpc.answers import Answers  # noqa: PLC0415

    answers = Answers(at_work.catalog, at_work.predictions, settings.request_timeout)
    return server.opened(settings, at_work.access, answers.answer, listener)


def _uvicorn_config(settings: Settings, at_work: Runtime) -> uvicorn.Config:
    connection: Any = partial(Connection, fast_path=at_work.fast_path)
    return uvicorn.Config(
        at_work.application,
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


class _Server(uvicorn.Server):
    """uvicorn's server, without its own signal handlers.

    They raise the signal again after the shutdown; Cloche exits with code 0.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Keep the signal handlers of the caller."""
        yield
