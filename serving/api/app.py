"""The ASGI application, which maps each path to its handler.

It is raw ASGI, because a web framework would take more time than the model.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from cloche.serving import page
from cloche.serving.api import routes
from cloche.serving.api.predictions import Predictions
from cloche.serving.api.route_target import RouteTarget, serving_pool
from cloche.serving.api.routes import Route
from cloche.serving.api.status import Status
from cloche.serving.dispatch.catalog import Catalog
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.observability.metrics import Metrics
from cloche.serving.openapi import docs_page, document
from cloche.serving.protocols.catalog import PROTOCOLS
from cloche.serving.protocols.protocol import ServerPath
from cloche.serving.registry.uri import Reference
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.asgi import (
    TEXT,
    ClientLeft,
    HttpError,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.webhook_signature import is_genuine

_WEBHOOK = "/webhooks/registry"
_WEBHOOK_LIMIT = 64 * 1024
_WEBHOOK_SECONDS = 10.0
_HTML = b"text/html; charset=utf-8"
_POST, _GET = (b"POST",), (b"GET", b"HEAD")
Page = Callable[[Scope, Send], Awaitable[None]]


class App:
    """The ASGI application of one server."""

    def __init__(
        self,
        catalog: Catalog,
        predictions: Predictions,
        metrics: Metrics,
        *,
        access: Authentication,
        hosts: AllowedHosts,
        webhook_secret: str = "",
    ) -> None:
        self._catalog = catalog
        self._predictions = predictions
        self._metrics = metrics
        self._access = access
        self._hosts = hosts
        self._webhook_secret = webhook_secret
        self._status = Status(catalog, metrics)
        self._pages: dict[str, Page] = {**page.pages()}
        self._probes: dict[str, Page] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/ping": self._ping,
            "/health": self._ping,
        }
        self._guarded: dict[str, Page] = {
            "/version": self._version,
            "/metrics": self._metrics_page,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
            "/status.json": self._status_page,
        }
        for path in (path for protocol in PROTOCOLS for path in protocol.server_paths):
            pages = self._probes if path.is_probe else self._guarded
            pages[path.path] = partial(self._server_path, path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except ClientLeft:
            return
        except HttpError as error:
            body = routes.protocol_of(scope["path"]).error(error)
            await respond(send, error.status, body, headers=error.headers)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == _WEBHOOK and self._webhook_secret:
            await self._registry_changed(scope, receive, send)
            return
        found = self._probes.get(path)
        if found is None:
            self._hosts.check(scope["headers"])
            found = self._pages.get(path)
        if found is None:
            self._access.check(scope["headers"])
            found = self._guarded.get(path)
        if found is not None:
            _check_method(scope, _GET)
            await found(scope, send)
            return
        route = routes.find(path)
        if route is not None and route.describe is not None:
            model = self._model(route)
            _check_method(scope, _GET)
            serving = serving_pool(model, route.version)
            told = route.describe(serving.model, serving.version, serving.description)
            await respond(send, 200, json.dumps(told).encode())
            return
        target = self.target(path)
        _check_method(scope, target.protocol.methods)
        await self._predictions.answer(target, scope, receive, send)

    def target(self, path: str) -> RouteTarget:
        """The target of a prediction path.

        Raises:
            HttpError: The path is no prediction path, or the server has no such model.
        """
        route = routes.find(path)
        if route is None or route.describe is not None:
            raise HttpError(404, "ENDPOINT_NOT_FOUND", "There is no such path; /docs lists them.")
        return RouteTarget(self._model(route), route.version, route.protocol, route.template)

    def _model(self, route: Route) -> ServedModel:
        """The model of a route."""
        if route.name is None:
            if (only := self._catalog.only) is None:
                raise HttpError(
                    404, "RESOURCE_DOES_NOT_EXIST",
                    "This server does not serve exactly one model; use /models/NAME/invocations.",
                )  # fmt: skip
            return only
        model = self._catalog.get(route.name)
        if model is None:
            name, colon, _ = route.name.rpartition(":")  # unknown verbs are read as part of a name
            verb = route.protocol.unknown_verb
            if verb and colon and self._catalog.get(name) is not None:
                raise HttpError(404, "ENDPOINT_NOT_FOUND", verb)
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST", "This server does not serve a model of this name."
            )
        followed = model.uri.value if model.uri.reference is Reference.ALIAS else None
        if route.label is not None and route.label != followed:
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST",
                "This label is no alias that the server follows for this model.",
            )  # fmt: skip
        return model

    async def _registry_changed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a webhook of the registry; its signature replaces the API key."""
        _check_method(scope, _POST)
        payload = await read_body(receive, _WEBHOOK_LIMIT, _WEBHOOK_SECONDS)
        now = datetime.now(UTC).timestamp()
        if not is_genuine(dict(scope["headers"]), payload, self._webhook_secret, now):
            raise HttpError(401, "UNAUTHENTICATED", "This message was not signed with the secret.")
        self._catalog.wake()
        await respond(send, 202, b"")

    async def _livez(self, _: Scope, send: Send) -> None:
        await respond(send, 200, b"ok\n", TEXT)

    async def _readyz(self, _: Scope, send: Send) -> None:
        ready = self._catalog.ready
        models = {model.name: model.describe() for model in self._catalog}
        body = {
            "ready": ready,
            "draining": self._catalog.draining,
            "follows": self._catalog.alias or None,
            "problem": self._catalog.problem or None,
            "models": models,
        }
        await respond(send, 200 if ready else 503, json.dumps(body).encode() + b"\n")

    async def _ping(self, _: Scope, send: Send) -> None:
        ready = self._catalog.ready
        await respond(send, 200 if ready else 503, b"\n")

    async def _server_path(self, path: ServerPath, _: Scope, send: Send) -> None:
        ready = self._catalog.ready
        told = path.answer(ready, [model.name for model in self._catalog])
        status = 503 if path.is_readiness and not ready else 200
        await respond(send, status, json.dumps(told).encode())

    async def _version(self, _: Scope, send: Send) -> None:
        versions = {
            model.current.description["mlflow_version"] for model in self._catalog if model.current
        }
        if len(versions) != 1:
            raise HttpError(
                503, "TEMPORARILY_UNAVAILABLE",
                "No model serves yet, or their MLflow versions differ; /readyz says more.",
            )  # fmt: skip
        await respond(send, 200, versions.pop().encode(), TEXT)

    async def _metrics_page(self, scope: Scope, send: Send) -> None:
        now = asyncio.get_running_loop().time()
        for model in self._catalog:
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

    async def _openapi(self, _: Scope, send: Send) -> None:
        described = document.document(
            self._catalog, guarded=self._access.guarded, named=self._hosts.guarded
        )
        await respond(send, 200, json.dumps(described).encode())

    async def _docs(self, _: Scope, send: Send) -> None:
        await respond(send, 200, docs_page.page(self._catalog).encode(), _HTML, page.SAFE)

    async def _status_page(self, scope: Scope, send: Send) -> None:
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        state = self._status.of(asked.get("model", [""])[0])
        await respond(
            send, 200, json.dumps(state).encode(), headers=[(b"cache-control", b"no-store")]
        )


def _check_method(scope: Scope, allowed: Sequence[bytes]) -> None:
    if scope["method"].encode() not in allowed:
        raise HttpError(
            405, "BAD_REQUEST", "This path does not take this method.",
            [(b"allow", b", ".join(allowed))],
        )  # fmt: skip
