"""Everything behind the sockets: routes, models, hosts and registry, started and ended together.

It knows no socket and no signal, so a server of its own and a program that mounts it share it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cloche.env_manager import LOCAL
from cloche.serving.front import tracing
from cloche.serving.front.access import Access
from cloche.serving.front.allowed_hosts import AllowedHosts
from cloche.serving.front.app import App
from cloche.serving.front.catalog import Catalog
from cloche.serving.front.clouds.door import CloudDoor
from cloche.serving.front.deadlines import Deadlines
from cloche.serving.front.fastpath import FastPath
from cloche.serving.front.generation import Generation
from cloche.serving.front.metrics import Metrics
from cloche.serving.front.model import ServedModel
from cloche.serving.front.payloads import specs
from cloche.serving.front.plan import Plan
from cloche.serving.front.predictions import Predictions
from cloche.serving.front.processes import Processes
from cloche.serving.front.queue import BatchLimits, QueueLimits
from cloche.serving.front.registry import Registry
from cloche.serving.front.replica import Replica
from cloche.serving.front.settings import Settings
from cloche.serving.front.web import Application
from cloche.serving.host.cores import cores
from cloche.serving.registry.uri import ModelUri

_BUILD_SECONDS = 1800.0


class Running(NamedTuple):
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
    access: Access
    fast_path: FastPath | None


@asynccontextmanager
async def running(
    settings: Settings, uris: list[ModelUri], hosts: AllowedHosts
) -> AsyncIterator[Running]:
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
    access = Access(settings.api_keys)
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
        yield Running(_entrance(app, settings, catalog), catalog, predictions, access, fast_path)
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
        spawn = partial(Replica.start, processes, environment)
        with_twin = replace(plan, twin=twin if settings.accelerate else "")
        return Generation(name, version, path, plan=with_twin, metrics=metrics, spawn=spawn)

    def model(uri: ModelUri) -> ServedModel:
        return ServedModel(uri, registry, metrics, make=generation, patience=settings.drain_timeout)

    return Catalog(model, settings.poll_interval)


async def _environment(manager: str, registry: Registry, path: Path) -> Path | None:
    """The interpreter for hosts of the version at `path`; None for the server's own."""
    if manager == LOCAL:
        return None
    built = await registry.ask("environment", _BUILD_SECONDS, artifacts=str(path), manager=manager)
    return Path(built)


def _cores_for_hosts() -> int:
    """All but one, which is the front's, where there is more than one."""
    return max(1, cores() - 1)
