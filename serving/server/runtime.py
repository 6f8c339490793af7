"""Everything behind the sockets: routes, models, hosts and registry, started and ended together.

It knows no socket and no signal, so a server of its own and a program that mounts it share it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cloche.registry.env_manager import LOCAL
from cloche.serving.api.app import App
from cloche.serving.api.predictions import Predictions
from cloche.serving.clouds.routes import CloudDoor
from cloche.serving.dispatch.catalog import Catalog
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.replica import Replica
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.http.fast_path import FastPath
from cloche.serving.observability import tracing
from cloche.serving.observability.metrics import Metrics
from cloche.serving.openapi.json_schema import specs
from cloche.serving.processes.cpu_count import cores
from cloche.serving.processes.launcher import Processes
from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits
from cloche.serving.queue.deadlines import Deadlines
from cloche.serving.registry.client import Registry
from cloche.serving.registry.uri import ModelUri
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.asgi import Application
from cloche.serving.web.authentication import Authentication

_FETCH_SECONDS = 1800.0
_BUILD_SECONDS = 1800.0
_FETCHES = 16  # at once; each has a process


class Runtime(NamedTuple):
    """An application that answers, and the models it answers for.

    Attributes:
        entrance: What a server asks: the application, behind a cloud's door where there is one.
        catalog: The models.
        predictions: Who answers requests for them.
        access: Who may ask.
        fast_path: A way past the application for requests that need nothing of it.
    """

    entrance: Application
    catalog: Catalog
    predictions: Predictions
    access: Authentication
    fast_path: FastPath | None


@asynccontextmanager
async def running(
    settings: Settings, uris: list[ModelUri], hosts: AllowedHosts
) -> AsyncIterator[Runtime]:
    """Serve the models of `uris`, as `settings` says, until the block is left.

    Requests for other hosts than `hosts` are refused. Versions are loaded in the background;
    `/readyz` says when they can answer.
    """
    metrics, deadlines, traces = Metrics(), Deadlines(), tracing.from_environment()
    threads = max(1, _cores_for_hosts() // settings.replicas)
    processes = Processes(threads, settings.host_env)
    if settings.env_manager == LOCAL:
        processes.prepare_hosts()
    registry = Registry(settings.cache_directory, processes)
    catalog = _catalog(settings, registry, processes, metrics)
    access = Authentication(settings.api_keys)
    predictions = Predictions(settings, metrics, deadlines, traces)
    app = App(
        catalog, predictions, metrics,
        access=access, hosts=hosts, webhook_secret=settings.webhook_secret,
    )  # fmt: skip
    fast_path = None
    if (
        settings.contract is None
    ):  # nothing stands before the application that must not be passed by
        fast_path = FastPath(
            app.target, catalog, predictions,
            access=access, hosts=hosts, max_body=settings.max_body,
        )  # fmt: skip
    background = [asyncio.create_task(deadlines.run())]
    for uri in uris:
        catalog.add(uri)
    if settings.all_with_alias:
        background.append(
            asyncio.create_task(catalog.follow_alias(settings.all_with_alias, registry))
        )
    try:
        yield Runtime(_entrance(app, settings, catalog), catalog, predictions, access, fast_path)
    finally:
        for task in background:
            task.cancel()
        await catalog.close()
        await registry.close()
        await processes.close()
        if traces is not None:
            await traces.close()


def _entrance(app: App, settings: Settings, catalog: Catalog) -> Application:
    if settings.contract is None:
        return app

    def names() -> list[str]:
        """Those of the model's inputs; none where they have none, or no version serves yet."""
        model = catalog.only.current if catalog.only else None
        signature = model.description["signature"] if model else None
        found = [spec.get("name", "") for spec in specs(signature or {}, "inputs")]
        return found if all(found) else []

    return CloudDoor(
        app, settings.contract, names,
        max_body=settings.max_body, patience=settings.client_timeout,
    )  # fmt: skip


def _catalog(
    settings: Settings, registry: Registry, processes: Processes, metrics: Metrics
) -> Catalog:
    plan = PoolSettings(
        replicas=settings.replicas,
        load_timeout=settings.load_timeout,
        predict_timeout=settings.predict_timeout or settings.request_timeout,
        host_memory=settings.max_host_memory,
        queue=QueueLimits(settings.max_queue, settings.max_queue_rows, settings.max_queue_bytes),
        batches=BatchLimits(settings.max_batch_rows, settings.max_batch_bytes, settings.max_wait),
    )

    fetches = asyncio.Semaphore(_FETCHES)

    async def generation(name: str, target: dict[str, Any]) -> VersionPool:
        async with fetches:
            path, environment = await _fetch(settings, processes, target)
        spawn = partial(Replica.start, processes, environment)
        with_twin = replace(plan, twin=target["twin"] if settings.accelerate else "")
        return VersionPool(
            name, target["version"], path, plan=with_twin, metrics=metrics, spawn=spawn,
            retry=target["retry"],
        )  # fmt: skip

    def model(uri: ModelUri) -> ServedModel:
        return ServedModel(uri, registry, metrics, make=generation)

    return Catalog(model, settings.poll_interval)


async def _fetch(
    settings: Settings, processes: Processes, target: dict[str, Any]
) -> tuple[Path, Path | None]:
    """The artifacts of a version, and the interpreter for its hosts; None for the server's own.

    By a registry process that has nothing else to do, so that a download which nobody wants any
    more ends with it, and one that takes long holds up no look at the registry.

    Raises:
        VersionRefused: The version cannot serve.
        RegistryUnreachable: It cannot be fetched now.
    """
    registry = Registry(settings.cache_directory, processes)
    try:
        path = await registry.ask("fetch", _FETCH_SECONDS, target=target)
        if settings.env_manager == LOCAL:
            return Path(path), None
        environment = await registry.ask(
            "environment", _BUILD_SECONDS, artifacts=path, manager=settings.env_manager
        )
        return Path(path), Path(environment)
    finally:
        await registry.close()


def _cores_for_hosts() -> int:
    """All but one, which is the front's, where there is more than one."""
    return max(1, cores() - 1)
