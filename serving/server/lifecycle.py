"""The life of the server process: it opens sockets, loads models, handles signals, and ends."""

import logging
import socket

from cloche.serving.registry.uri import ModelUri
from cloche.serving.server import front, parent, preflight, signals
from cloche.serving.server.runtime import serving_runtime
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
    bind, serve = (reserve, parent.serve_with_workers) if settings.workers > 1 else (listen, _serve)
    listener = bind(settings.host, settings.port)
    grpc_listener = None
    if settings.grpc_port is not None:
        grpc_listener = bind(settings.host, settings.grpc_port, "--grpc-port")
    with front.runner() as runner:
        runner.run(serve(settings, uris, listener, grpc_listener))


async def _serve(
    settings: Settings, uris: list[ModelUri], listener: socket.socket,
    grpc_listener: socket.socket | None,
) -> None:  # fmt: skip
    hosts = allowed_hosts(settings)
    front.log_hosts(settings, hosts)
    async with serving_runtime(settings, uris, hosts) as runtime:
        server = front.Server(settings, runtime)
        signals.handle(stop=server.stop, wake=runtime.models.wake)
        front.log_listening(settings, listener)
        await server.answer(listener, grpc_listener)
    _logger.info("Ended.")
