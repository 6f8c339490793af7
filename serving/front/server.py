"""The life of the server: sockets, models, signals; started, run and stopped in this order."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvicorn

from serving.errors import SettingsError
from serving.front import preflight, tracing
from serving.front.access import Access
from serving.front.app import App
from serving.front.catalog import Catalog
from serving.front.connection import Connection, end_slow_ones
from serving.front.deadlines import Deadlines
from serving.front.generation import Generation
from serving.front.grpc_door import GrpcDoor
from serving.front.hosts import Environment, Hosts
from serving.front.metrics import Metrics
from serving.front.model import ServedModel
from serving.front.plan import Plan
from serving.front.predictions import Predictions
from serving.front.queue import BatchLimits, QueueLimits
from serving.front.registry import Registry
from serving.front.settings import LOCAL, Settings
from serving.registry.uri import ModelUri

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
_BUILD_SECONDS = 1800.0
_logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        ServingError: It cannot start.
    """
    uris = preflight.check(settings)
    listener = _listen(settings)
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(settings, uris, listener))


async def _serve(settings: Settings, uris: list[ModelUri], listener: socket.socket) -> None:
    metrics, deadlines, traces = Metrics(), Deadlines(), tracing.from_environment()
    registry = Registry(settings.cache_directory)
    hosts = Hosts(threads=max(1, _cores() // settings.replicas))
    if settings.env_manager == LOCAL:
        hosts.prepare(settings.replicas * len(uris))
    catalog = _catalog(settings, registry, hosts, metrics)
    predictions = Predictions(settings, metrics, deadlines, traces)
    access = Access(settings.api_keys)
    app = App(
        catalog,
        predictions,
        metrics,
        access=access,
        webhook_secret=settings.webhook_secret,
    )
    server = _Server(_uvicorn_config(settings, app))
    background = [
        asyncio.create_task(deadlines.run()),
        asyncio.create_task(
            end_slow_ones(server.server_state.connections, settings.client_timeout)
        ),
    ]
    for uri in uris:
        catalog.add(uri)
    if settings.all_with_alias:
        background.append(
            asyncio.create_task(catalog.follow_alias(settings.all_with_alias, registry))
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
    try:
        async with _grpc_door(settings, catalog, predictions, access):
            await server.serve([listener])
    finally:
        for task in background:
            task.cancel()
        await catalog.close()
        await hosts.close()
        await registry.close()
        if traces is not None:
            await traces.close()
        _logger.info("Ended.")


@contextlib.asynccontextmanager
async def _grpc_door(
    settings: Settings, catalog: Catalog, predictions: Predictions, access: Access
) -> AsyncIterator[None]:
    """The door for gRPC, if it is wanted, for as long as the context lasts."""
    if settings.grpc_port is None:
        yield
        return
    door = GrpcDoor(settings, catalog, predictions, access)
    await door.open()
    try:
        yield
    finally:
        await door.close()


def _catalog(settings: Settings, registry: Registry, hosts: Hosts, metrics: Metrics) -> Catalog:
    plan = Plan(
        replicas=settings.replicas,
        load_timeout=settings.load_timeout,
        predict_timeout=settings.predict_timeout,
        host_memory=settings.max_host_memory,
        queue=QueueLimits(settings.max_queue, settings.max_queue_rows, settings.max_queue_bytes),
        batches=BatchLimits(settings.max_batch_rows, settings.max_batch_bytes, settings.max_wait),
    )

    async def generation(name: str, version: str, path: Path, twin: str) -> Generation:
        environment = await _environment(settings.env_manager, registry, path)
        spawn = partial(hosts.take, environment)
        with_twin = replace(plan, twin=twin if settings.accelerate else "")
        return Generation(name, version, path, plan=with_twin, metrics=metrics, spawn=spawn)

    def model(uri: ModelUri) -> ServedModel:
        return ServedModel(uri, registry, metrics, make=generation, patience=settings.drain_timeout)

    return Catalog(model, settings.poll_interval)


async def _environment(manager: str, registry: Registry, path: Path) -> Environment | None:
    """The environment for hosts of the version at `path`; None for the server's own."""
    if manager == LOCAL:
        return None
    built = await registry.ask("environment", _BUILD_SECONDS, artifacts=str(path), manager=manager)
    return Environment(Path(built["python"]), Path(built["search"]))


def _cores() -> int:
    """The cores for model hosts: one is the front's, where there is more than one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _listen(settings: Settings) -> socket.socket:
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


def _uvicorn_config(settings: Settings, app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
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
