"""The life of the server process: it opens sockets, loads models, handles signals, and ends."""

import logging
import socket

from cloche.serving.registry.uri import ModelUri
from cloche.serving.server import front, parent, preflight, signals
from cloche.serving.server.runtime import running
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import allowed_hosts
from cloche.serving.web.sockets import listen, reserve

_logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until a signal ends the server.

    Raises:
        ServingError: The server cannot start.
    """
    uris = preflight.check(settings)
    bind, serve = (reserve, parent.lead) if settings.workers > 1 else (listen, _serve)
    listener = bind(settings.host, settings.port)
    for_grpc = None
    if settings.grpc_port is not None:
        for_grpc = bind(settings.host, settings.grpc_port, "--grpc-port")
    with front.runner() as runner:
        runner.run(serve(settings, uris, listener, for_grpc))


async def _serve(
    settings: Settings, uris: list[ModelUri], listener: socket.socket,
    for_grpc: socket.socket | None,
) -> None:  # fmt: skip
    hosts = allowed_hosts(settings)
    front.log_hosts(settings, hosts)
    async with running(settings, uris, hosts) as at_work:
        server = front.Server(settings, at_work)
        signals.handle(stop=server.stop, wake=at_work.catalog.wake)
        front.log_listening(settings, listener)
        await server.answer(listener, for_grpc)
    _logger.info("Ended.")
