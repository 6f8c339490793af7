"""The life of a server with several workers: the parent follows the registry, and they answer."""

import asyncio
import logging
import math
import pickle
import socket
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from cloche import launch
from cloche.serving.api.state_pages import StatePages
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.observability import logs
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.fork_relay import ForkRelay
from cloche.serving.processes.launcher import Processes
from cloche.serving.processes.peer import Handlers, Peer
from cloche.serving.registry.uri import ModelUri
from cloche.serving.server import front, signals
from cloche.serving.server.runtime import make_processes, served_models
from cloche.serving.server.worker import WorkerArguments
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import allowed_hosts
from cloche.serving.workers import page_relay
from cloche.serving.workers.arms_on_workers import ArmsOnWorkers, CopiesOnWorkers, counts_handler
from cloche.serving.workers.fleet import Fleet
from cloche.serving.workers.version_on_workers import VersionOnWorkers
from cloche.serving.workers.worker_handle import WorkerHandle

_END_SECONDS = 20.0  # after the drain timeout: hosts are ended by then
_logger = logging.getLogger(__name__)


async def serve_with_workers(
    settings: Settings, uris: list[ModelUri], listener: socket.socket,
    grpc_listener: socket.socket | None,
) -> None:  # fmt: skip
    """Serve with several workers until a signal ends the server.

    Args:
        settings: The settings of the server.
        uris: The models.
        listener: A socket that has reserved the port; see `reserve`.
        grpc_listener: The same for gRPC; None for no gRPC.

    Raises:
        ServingError: A worker does not start.
    """
    front.log_hosts(settings, allowed_hosts(settings))
    arguments = WorkerArguments(
        share_of(settings), listener.getsockname()[:2],
        grpc_listener.getsockname()[:2] if grpc_listener else None, logs.style(),
    )  # fmt: skip
    metrics, processes = Metrics(), make_processes(settings)
    fleet = Fleet(settings.workers, metrics)

    def changed(models: ServedModels) -> None:
        fleet.set_served(
            uris=[asdict(model.uri) for model in models],
            alias=models.alias, complete=models.complete,
        )  # fmt: skip

    pools = partial(VersionOnWorkers, fleet)
    async with served_models(
        settings, uris, processes, metrics,
        make=pools, arms=ArmsOnWorkers, copies=CopiesOnWorkers, changed=changed,
    ) as models:  # fmt: skip
        stop_requested = asyncio.Event()

        def stop() -> None:
            models.draining = True
            stop_requested.set()

        async def wake() -> None:
            models.wake()

        page = page_relay.page_handler(fleet, models, StatePages(models, metrics))
        handlers: Handlers = {"page": page, "wake": wake, "count": counts_handler(models)}
        signals.handle(stop=stop, wake=models.wake)
        keepers = [
            asyncio.create_task(fleet.keep(lambda: _start(arguments, processes, handlers)))
            for _ in range(settings.workers)
        ]
        try:
            await _wait_for_first(*keepers, fleet.begun.wait(), stop_requested.wait())
            if fleet.begun.is_set():
                front.log_listening(settings, listener)
            await _wait_for_first(*keepers, stop_requested.wait())
        finally:
            await fleet.end(settings.drain_timeout + _END_SECONDS)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
    _logger.info("Ended.")


def share_of(settings: Settings) -> Settings:
    """The settings of one worker: the server's limits are divided among all."""
    return replace(
        settings,
        **{
            name: math.ceil(getattr(settings, name) / settings.workers)
            for name in ("max_queue", "max_queue_rows", "max_queue_bytes", "max_connections")
        },
    )


async def _start(
    arguments: WorkerArguments, processes: Processes, handlers: Handlers
) -> WorkerHandle:
    """Start a worker."""
    ours, theirs = socket.socketpair()
    relay_end, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, worker_end:
        descriptors = (theirs.fileno(), worker_end.fileno())
        process = await asyncio.create_subprocess_exec(
            *launch.command("cloche.serving.server.worker", *map(str, descriptors)),
            pass_fds=descriptors, stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
    ForkRelay(processes, relay_end)
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    process.stdin.write(pickle.dumps(arguments))
    process.stdin.close()
    return WorkerHandle(process, await Peer.connect(ours, handlers))


async def _wait_for_first(*awaitables: Any) -> None:
    """Wait for the first of these.

    Raises:
        ServingError: It is a keeper, and its worker does not start.
    """
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
