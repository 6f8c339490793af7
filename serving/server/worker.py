"""The process of one worker: `python cloche/launch.py cloche.serving.server.worker FD FD`.

Its arguments are its ends of two sockets, one for calls of its parent and one to the fork server.
The settings arrive on its standard input, as they hold secrets. It listens when its parent says so:
until then it may have versions to load, and others answer.
"""

import asyncio
import pickle
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from cloche.processes import parent_watch
from cloche.serving.api.state_pages import StatePages
from cloche.serving.observability import logs, tracing
from cloche.serving.observability.metrics import Metrics
from cloche.serving.processes.peer import Handlers, Peer
from cloche.serving.registry.client import Registry
from cloche.serving.server import front
from cloche.serving.server.runtime import (
    Runtime,
    make_processes,
    request_handling,
    version_pool_factory,
)
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import allowed_hosts
from cloche.serving.web.sockets import share
from cloche.serving.workers import page_relay
from cloche.serving.workers.worker_model import WorkerModel, WorkerModels
from cloche.serving.workers.worker_pools import WorkerPools

Address = tuple[str, int]


class WorkerArguments(NamedTuple):
    """The arguments of a worker process, which arrive on its standard input.

    Attributes:
        settings: The settings, with this worker's share of the server's limits.
        address: Where to listen.
        grpc_address: Where to listen for gRPC; None for nowhere.
        log_style: The style of the log.
    """

    settings: Settings
    address: Address
    grpc_address: Address | None
    log_style: str


def main() -> None:
    """Run the worker until its parent lets it end, or is gone."""
    control, forks = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    parent_watch.die_with_parent()
    parent_watch.set_process_name("cloche-front")
    arguments: WorkerArguments = pickle.load(sys.stdin.buffer)  # noqa: S301  # its parent wrote it
    logs.configure(arguments.log_style)
    parent_watch.ignore_group_signals()
    with front.runner() as runner:
        runner.run(_work(arguments, control, forks))


async def _work(arguments: WorkerArguments, control: socket.socket, forks: socket.socket) -> None:
    released = asyncio.Event()  # to listen, or to end before
    server: front.Server

    async def listen() -> None:
        released.set()
        await server.listening.wait()

    async def drain() -> None:
        server.stop()
        released.set()

    async def ping() -> None:
        """Show the parent that the event loop runs."""

    handlers = {"listen": listen, "drain": drain, "ping": ping}
    async with _worker_runtime(arguments.settings, control, forks, handlers) as runtime:
        server = front.Server(arguments.settings, runtime)
        await released.wait()
        if not server.should_exit:
            grpc_listener = share(arguments.grpc_address) if arguments.grpc_address else None
            await server.answer(share(arguments.address), grpc_listener)


@asynccontextmanager
async def _worker_runtime(
    settings: Settings, control: socket.socket, forks: socket.socket, handlers: Handlers
) -> AsyncIterator[Runtime]:
    """Answer by the versions that the parent has this worker load, until the context is left."""
    metrics, processes = Metrics(), make_processes(settings, forks)
    registry = Registry(settings.cache_directory, processes)  # models need one; the parent polls
    peer: Peer
    models = WorkerModels(
        partial(
            WorkerModel,
            registry=registry,
            metrics=metrics,
            report=lambda **counted: peer.tell("count", **counted),
        ),
        wake=lambda: peer.tell("wake"),
    )
    pools = WorkerPools(models, metrics, version_pool_factory(settings, processes, metrics))
    peer = await Peer.connect(control, {**pools.handlers, **handlers})
    state = StatePages(models, metrics)
    state.replace(page_relay.relayed_page(peer))
    async with tracing.opened() as traces:
        try:
            async with request_handling(
                settings, allowed_hosts(settings), models, metrics, state=state, traces=traces
            ) as runtime:
                yield runtime
        finally:
            await models.close()
            await processes.close()
            await peer.close()
