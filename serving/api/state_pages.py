"""The pages that tell the state of the server: probes, metrics, and data for the status page."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from cloche.serving.api.status import Status
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.observability.metrics import Metrics
from cloche.serving.protocols.catalog import PROTOCOLS
from cloche.serving.protocols.protocol import ServerPath
from cloche.serving.web.asgi import Message, Scope, Send, respond

_PING: Scope = {"path": "/ping", "query_string": b"", "headers": []}

Page = Callable[[Scope, Send], Awaitable[None]]


class StatePages:
    """The pages on the state of a server, which one of several workers has from their parent.

    Attributes:
        probes: The pages for everybody, by path.
        guarded: The pages that need an API key if there are any, by path.
    """

    def __init__(
        self, models: ServedModels, metrics: Metrics, log: dict[str, str] | None = None
    ) -> None:
        """Tell of these models, and of the prediction log if there is one."""
        self._log = log
        self._models = models
        self._metrics = metrics
        self._status = Status(models, metrics)
        self.probes: dict[str, Page] = {
            "/readyz": self._readyz,
            "/ping": self._ping,
            "/health": self._ping,
        }
        self.guarded: dict[str, Page] = {
            "/metrics": self._metrics_page,
            "/status.json": self._status_page,
        }
        for path in (path for protocol in PROTOCOLS for path in protocol.server_paths):
            pages = self.probes if path.is_probe else self.guarded
            pages[path.path] = partial(self._server_path, path)

    def replace(self, page: Page) -> None:
        """Have `page` answer all of these paths."""
        self.probes = dict.fromkeys(self.probes, page)
        self.guarded = dict.fromkeys(self.guarded, page)

    async def is_ready(self) -> bool:
        """Whether the server is ready, as `/ping` answers."""
        statuses: list[int] = []

        async def send(message: Message) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await self.probes["/ping"](_PING, send)
        return statuses == [200]

    async def _readyz(self, _: Scope, send: Send) -> None:
        ready = self._models.ready
        models = {model.name: model.describe() for model in self._models}
        body: dict[str, Any] = {
            "ready": ready,
            "draining": self._models.draining,
            "follows": self._models.alias or None,
            "problem": self._models.problem or None,
            "warning": self._models.warning or None,
            "models": models,
        }
        if self._log is not None:
            body["log"] = self._log
        await respond(send, 200 if ready else 503, json.dumps(body).encode() + b"\n")

    async def _ping(self, _: Scope, send: Send) -> None:
        ready = self._models.ready
        await respond(send, 200 if ready else 503, b"\n")

    async def _server_path(self, path: ServerPath, _: Scope, send: Send) -> None:
        ready = self._models.ready
        document = path.answer(ready, [model.name for model in self._models])
        status = 503 if path.is_readiness and not ready else 200
        await respond(send, status, json.dumps(document).encode())

    async def _metrics_page(self, scope: Scope, send: Send) -> None:
        now = asyncio.get_running_loop().time()
        for model in self._models:
            waiting = model.current.queued if model.current else 0
            age = now - model.read_at
            self._metrics.set_gauges(
                model.name, registry_age=age, in_progress=model.in_progress, waiting=waiting
            )
        accept = dict(scope["headers"]).get(b"accept", b"")
        if b"application/openmetrics-text" in accept:
            text = openmetrics.generate_latest(self._metrics.registry)
            kind = openmetrics.CONTENT_TYPE_LATEST
        else:
            text, kind = generate_latest(self._metrics.registry), CONTENT_TYPE_LATEST
        await respond(send, 200, text, kind.encode())

    async def _status_page(self, scope: Scope, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        state = self._status.report(query.get("model", [""])[0])
        await respond(
            send, 200, json.dumps(state).encode(), headers=[(b"cache-control", b"no-store")]
        )
