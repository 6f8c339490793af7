"""Cloche as an ASGI application, mounted in another program or run as it is.

Sockets, TLS, slow clients and signals are handled by the ASGI server that runs the program.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from cloche.serving.server import preflight
from cloche.serving.server.runtime import Runtime, serving_runtime
from cloche.serving.settings import Settings
from cloche.serving.web.allowed_hosts import ANY, AllowedHosts
from cloche.serving.web.answer_headers import with_headers
from cloche.serving.web.asgi import Receive, Scope, Send, error_body, respond

_NOT_STARTED = (
    "Cloche was not started. Servers do not start what is mounted: enter its lifespan in that of "
    "your application, like FastAPI(lifespan=cloche.lifespan)."
)


class Cloche:
    """An ASGI application that serves models under the paths of `cloche serve`.

    Start and end it with `lifespan`, or run it as the application of an ASGI server, which does so.
    The settings of sockets (host, port, connections, TLS) are ignored; requests may name any host
    unless `allowed_hosts` is set.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = replace(settings, workers=1)
        self._runtime: Runtime | None = None

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """Serve until the context is left. The argument, a framework's application, is ignored.

        Versions are loaded in the background; until then, prediction requests get 503.

        Raises:
            ServingError: The application cannot start.
        """
        uris = preflight.check(self._settings)
        try:
            hosts = AllowedHosts(self._settings.allowed_hosts or (ANY,))
            async with serving_runtime(self._settings, uris, hosts) as self._runtime:
                yield
        finally:
            self._runtime = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's lifespan events."""
        send = with_headers(send)
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif self._runtime is None:
            await respond(send, 503, error_body("TEMPORARILY_UNAVAILABLE", _NOT_STARTED))
        else:
            await self._runtime.application(_below(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Handle the ASGI lifespan protocol."""
        await receive()
        begun = False
        try:
            async with self.lifespan():
                begun = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:  # the server reports it, and exits
            phase = "shutdown" if begun else "startup"
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _below(scope: Scope) -> Scope:
    """The request's scope with the path below the mount point, and without a root path."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    if root and path.startswith(root):
        return {**scope, "path": path.removeprefix(root), "root_path": ""}
    return scope
