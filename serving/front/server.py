"""The life of the server: sockets, models, signals; started, run and stopped in this order."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import uvicorn

from serving.errors import SettingsError
from serving.front import preflight
from serving.front.connection import Connection, end_slow_ones
from serving.front.grpc_door import GrpcDoor
from serving.front.running import Running, running
from serving.front.settings import Settings
from serving.registry.uri import ModelUri

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        ServingError: It cannot start.
    """
    uris = preflight.check(settings)
    listener = listen(settings)
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(settings, uris, listener))


async def _serve(settings: Settings, uris: list[ModelUri], listener: socket.socket) -> None:
    async with running(settings, uris) as at_work:
        server = _Server(_uvicorn_config(settings, at_work))
        catalog = at_work.catalog
        slow = asyncio.create_task(
            end_slow_ones(server.server_state.connections, settings.client_timeout)
        )
        loop = asyncio.get_running_loop()

        def stop(name: str) -> None:
            _logger.info("%s: finishing what runs, then ending.", name)
            catalog.draining = True
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, catalog.wake)
        host, port = listener.getsockname()[:2]
        scheme = "https" if settings.tls_certificate else "http"
        _logger.info("Listening on %s://%s:%d", scheme, host, port)
        gc.freeze()  # what is there now stays; collections under load need not walk it
        try:
            async with _grpc_door(settings, at_work):
                await server.serve([listener])
        finally:
            slow.cancel()
    _logger.info("Ended.")


def listen(settings: Settings) -> socket.socket:
    """A socket that listens where `settings` says.

    Raises:
        SettingsError: It cannot.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    where = f"Cannot listen on {settings.host}:{settings.port}"
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except PermissionError as error:
        raise SettingsError(
            f"{where}: ports below 1024 need rights that this user lacks. Choose another --port."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"{where}: something else does. Choose another --port.") from error
        raise SettingsError(
            f"{where}: this machine has no such address. Choose another --host: 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for everybody."
        ) from error


@contextlib.asynccontextmanager
async def _grpc_door(settings: Settings, at_work: Running) -> AsyncIterator[None]:
    """The door for gRPC, if it is wanted, for as long as the context lasts."""
    if settings.grpc_port is None:
        yield
        return
    door = GrpcDoor(settings, at_work.catalog, at_work.predictions, at_work.access)
    await door.open()
    try:
        yield
    finally:
        await door.close()


def _uvicorn_config(settings: Settings, at_work: Running) -> uvicorn.Config:
    connection: Any = partial(Connection, fast_path=at_work.fast_path)
    return uvicorn.Config(
        at_work.entrance,
        http=connection,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.drain_timeout),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


async def _nothing(*_: object) -> None:
    """An application for the configuration that only says which event loop there is."""


class _Server(uvicorn.Server):
    """uvicorn's server, without its own signal handlers.

    It would end by the signal, and Cloche ends with 0.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield
