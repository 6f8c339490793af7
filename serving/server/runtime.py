"""Everything behind the sockets: routes, models, hosts and registry, started and ended together.

It knows neither sockets nor signals, so `cloche serve` and a program that mounts Cloche share it.
"""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cloche.registry.env_manager import LOCAL
from cloche.serving.api.app import App
from cloche.serving.api.front_log import FrontLog
from cloche.serving.api.labels import LabelSpool
from cloche.serving.api.predictions import PredictionService
from cloche.serving.api.request_observer import RequestObserver
from cloche.serving.api.state_pages import StatePages
from cloche.serving.arms.arms import Arms
from cloche.serving.arms.production_model import ProductionModel
from cloche.serving.arms.shadow_copies import ShadowCopies
from cloche.serving.clouds.routes import CloudRoutes
from cloche.serving.dispatch.pool_settings import PoolSettings
from cloche.serving.dispatch.replica import Replica
from cloche.serving.dispatch.replica_names import ReplicaNames
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.dispatch.served_pool import ServedPool
from cloche.serving.dispatch.staged_pool import StagedPool
from cloche.serving.dispatch.version_pool import VersionPool
from cloche.serving.http.fast_path import FastPath
from cloche.serving.observability import tracing
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.cpu_count import cores
from cloche.serving.processes.launcher import Processes
from cloche.serving.protocols.json_schema import specs
from cloche.serving.queue.batching_queue import BatchLimits, QueueLimits
from cloche.serving.queue.deadlines import Deadlines
from cloche.serving.registry.client import Registry
from cloche.serving.registry.names import PRODUCTION
from cloche.serving.registry.resolved_version import ResolvedVersion
from cloche.serving.registry.uri import ModelUri, Reference
from cloche.serving.server.log_tags import LogTags
from cloche.serving.server.sealing_process import sealing
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.asgi import Application
from cloche.serving.web.authentication import Authentication
from cloche.serving.workers.worker_pools import Fetched, MakePool

_SHADOW_QUEUE = QueueLimits(requests=256, rows=65_536, size=1 << 26)  # of all workers
_FETCH_SECONDS = 1800.0
_BUILD_SECONDS = 1800.0
_FETCHES = 16  # at the same time; each has a registry process of its own


class Runtime(NamedTuple):
    """A running ASGI application and its models.

    Attributes:
        application: The ASGI application, wrapped in a cloud's routes if there is a contract.
        fast_path: The way around ASGI for plain prediction requests; None with a cloud's contract.
    """

    application: Application
    models: ServedModels
    predictions: PredictionService
    state: StatePages
    access: Authentication
    fast_path: FastPath | None


@asynccontextmanager
async def serving_runtime(
    settings: Settings, uris: list[ModelUri], hosts: AllowedHosts
) -> AsyncIterator[Runtime]:
    """Serve the models of `uris` with these settings until the context is left.

    Requests whose Host header `hosts` does not allow are refused. Versions are loaded in the
    background; `/readyz` reports when they can answer.
    """
    metrics, processes = Metrics(), make_processes(settings)
    make = version_pool_factory(settings, processes, metrics)
    async with (
        tracing.opened() as traces,
        served_models(settings, uris, processes, metrics, make=make) as models,
    ):
        state = StatePages(models, metrics, log_state(settings))
        async with request_handling(
            settings, hosts, models, metrics, state=state, traces=traces
        ) as runtime:
            yield runtime


@asynccontextmanager
async def served_models(
    settings: Settings, uris: list[ModelUri], processes: Processes, metrics: Metrics, *,
    make: Callable[[str, ResolvedVersion, Sequence[Fetched]], ServedPool],
    arms: type[Arms] = Arms,
    copies: type[ShadowCopies] = ShadowCopies,
    changed: Callable[[ServedModels], None] = lambda _: None,
) -> AsyncIterator[ServedModels]:  # fmt: skip
    """Follow the registry, with version pools that `make` makes, until the context is left."""
    registry = Registry(settings.cache_directory, processes)
    fetches = asyncio.Semaphore(_FETCHES)
    replica_names = ReplicaNames(settings.named_replicas)
    log_tags = LogTags(registry, settings.log)

    async def fetch_and_make_pool(name: str, resolved: ResolvedVersion) -> ServedPool:
        models.set_warning(replica_names.warning(name, resolved, (one.name for one in models)))
        async with fetches:
            fetched = [await _fetch(settings, processes, one) for one in resolved.with_stages]
        log_tags.write(resolved)
        return make(name, resolved, fetched)

    def make_model(uri: ModelUri) -> ServedModel:
        if uri.reference is not Reference.ALIAS or uri.value != PRODUCTION:
            return ServedModel(uri, registry, metrics, make=fetch_and_make_pool)
        return ProductionModel(
            uri, registry, metrics, make=fetch_and_make_pool, arms=arms, copies=copies
        )

    models = ServedModels(make_model, settings.poll_interval, changed)
    for uri in uris:
        models.add(uri)
    changed(models)
    listing = None
    if settings.all_with_alias:
        listing = asyncio.create_task(models.follow_alias(settings.all_with_alias, registry))
    async with sealing(settings):  # ends last, so that it seals what hosts log at their end
        try:
            yield models
        finally:
            if listing is not None:
                listing.cancel()
            await models.close()
            await log_tags.close()
            await registry.close()
            await processes.close()


@asynccontextmanager
async def request_handling(
    settings: Settings, hosts: AllowedHosts, models: ServedModels, metrics: Metrics, *,
    state: StatePages, traces: tracing.Tracing | None,
) -> AsyncIterator[Runtime]:  # fmt: skip
    """Answer requests by `models` until the context is left."""
    deadlines = Deadlines()
    access = Authentication(settings.api_keys)
    plan = settings.log_plan
    log = FrontLog(plan, metrics) if plan is not None else None
    labels = LabelSpool(plan) if plan is not None else None
    observer = RequestObserver(settings, metrics, traces, log)
    predictions = PredictionService(settings, deadlines, observer)
    app = App(
        models, predictions, state,
        access=access, hosts=hosts, webhook_secret=settings.webhook_secret,
        labels=labels, max_body=settings.max_body,
    )  # fmt: skip
    fast_path = None
    if settings.cloud_contract is None:  # a cloud's routes must not be bypassed
        fast_path = FastPath(
            app.target, models, predictions,
            access=access, hosts=hosts, max_body=settings.max_body,
        )  # fmt: skip
    timer = asyncio.create_task(deadlines.run())
    try:
        yield Runtime(
            _application(app, settings, models), models, predictions, state, access, fast_path
        )
    finally:
        timer.cancel()
        if log is not None:
            log.close()
        if labels is not None:
            labels.close()


def make_processes(settings: Settings, relay: socket.socket | None = None) -> Processes:
    """Return what starts the processes of a server, by a fork server of its own or by `relay`."""
    fronts = settings.workers
    threads = max(1, (cores() - fronts) // (fronts * settings.replicas))  # a core for each front
    large_batch_threads = cores() // (fronts * settings.replicas)
    processes = Processes(
        threads, settings.host_env, large_batch_threads=large_batch_threads, relay=relay
    )
    if settings.env_manager == LOCAL:
        processes.prepare_hosts()
    return processes


def _application(app: App, settings: Settings, models: ServedModels) -> Application:
    if settings.cloud_contract is None:
        return app

    def names() -> list[str]:
        """The names of the model's inputs; empty if they have none, or no version serves yet."""
        model = models.only.current if models.only else None
        signature = model.description["signature"] if model else None
        found = [spec.get("name", "") for spec in specs(signature or {}, "inputs")]
        return found if all(found) else []

    return CloudRoutes(
        app, settings.cloud_contract, names,
        max_body=settings.max_body, time_limit=settings.client_timeout,
    )  # fmt: skip


def version_pool_factory(settings: Settings, processes: Processes, metrics: Metrics) -> MakePool:
    """Return the function that makes the version pools of this process."""
    pool_settings = PoolSettings(
        replicas=settings.replicas,  # of what has no number of its own
        load_timeout=settings.load_timeout,
        predict_timeout=settings.predict_timeout or settings.request_timeout,
        host_memory=settings.max_host_memory,
        queue=QueueLimits(settings.max_queue, settings.max_queue_rows, settings.max_queue_bytes),
        batches=BatchLimits(settings.max_batch_rows, settings.max_batch_bytes, settings.max_wait),
    )

    plan = settings.log_plan

    def make_one(
        name: str,
        resolved: ResolvedVersion,
        fetched: Fetched,
        *,
        low_priority: bool,
        as_stage: bool = False,
    ) -> VersionPool:
        path, environment = fetched
        spawn = partial(Replica.start, processes, environment)
        own = replace(
            pool_settings,
            replicas=settings.named_replicas.get(name, settings.replicas),
            twin=resolved.twin if settings.accelerate else "",
            as_stage=as_stage,
            log=plan
            and plan.for_version(resolved.model or name, resolved.version, resolved.digest),
        )
        if low_priority:
            queue = QueueLimits(
                *(math.ceil(one / settings.workers) for one in astuple(_SHADOW_QUEUE))
            )
            own = replace(own, low_priority=True, queue=queue)
        return VersionPool(
            name, resolved.version, path, settings=own, metrics=metrics, spawn=spawn,
            retry=resolved.retry,
        )  # fmt: skip

    def make(
        name: str, resolved: ResolvedVersion, fetched: Sequence[Fetched]
    ) -> VersionPool | StagedPool:
        *stages, last = fetched
        make_pool = partial(make_one, low_priority=resolved.low_priority)
        pool = make_pool(name, resolved, last)
        if not stages:
            return pool
        before = [
            make_pool(one.name, one, place, as_stage=True)
            for one, place in zip(resolved.stages, stages, strict=True)
        ]
        return StagedPool([*before, pool], settings.load_timeout)

    return make


def log_state(settings: Settings) -> dict[str, str] | None:
    """What `/readyz` says of the prediction log; None without one."""
    return {"destination": settings.log, "promise": settings.log_promise} if settings.log else None


async def _fetch(settings: Settings, processes: Processes, resolved: ResolvedVersion) -> Fetched:
    """The artifacts of a version, and the interpreter for its hosts; None for the server's own.

    A registry process of its own fetches them, so that a cancelled download ends with the process,
    and a long one does not delay polls of the registry.

    Raises:
        VersionRefused: The version cannot serve.
        RegistryUnreachable: The version cannot be fetched now.
    """
    registry = Registry(settings.cache_directory, processes)
    try:
        path = await registry.call("fetch", _FETCH_SECONDS, resolved=asdict(resolved))
        if settings.env_manager == LOCAL:
            return Path(path), None
        environment = await registry.call(
            "environment", _BUILD_SECONDS, artifacts=path, manager=settings.env_manager
        )
        return Path(path), Path(environment)
    finally:
        await registry.close()
