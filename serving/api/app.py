"""The ASGI application, which maps each path to its handler.

It is raw ASGI, because a web framework would take more time than the model.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from cloche.rollout.registry_keys import CANARY, SHADOW
from cloche.serving import page
from cloche.serving.api import routes
from cloche.serving.api.labels import NO_LOG, LabelSpool
from cloche.serving.api.predictions import PredictionService
from cloche.serving.api.route_target import RouteTarget, serving_pool
from cloche.serving.api.routes import Route
from cloche.serving.api.state_pages import Page, StatePages
from cloche.serving.dispatch.served_model import ServedModel
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.openapi import docs_page, document
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
_LABELS = re.compile(r"/models/(?P<name>[^/]+)/labels")
_LABELS_SECONDS = 30.0
_HTML = b"text/html; charset=utf-8"
_POST, _GET = (b"POST",), (b"GET", b"HEAD")


class App:
    """The ASGI application of one server."""

    def __init__(
        self,
        models: ServedModels,
        predictions: PredictionService,
        state: StatePages,
        *,
        access: Authentication,
        hosts: AllowedHosts,
        webhook_secret: str = "",
        labels: LabelSpool | None = None,
        max_body: int = 0,
    ) -> None:
        self._models = models
        self._predictions = predictions
        self._access = access
        self._hosts = hosts
        self._webhook_secret = webhook_secret
        self._labels = labels
        self._max_body = max_body
        self._pages: dict[str, Page] = {**page.pages()}
        self._probes: dict[str, Page] = {"/livez": self._livez, **state.probes}
        self._guarded: dict[str, Page] = {
            "/version": self._version,
            "/openapi.json": self._openapi,
            "/docs": self._docs,
            **state.guarded,
        }

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
            await self._handle_webhook(scope, receive, send)
            return
        handler = self._probes.get(path)
        if handler is None:
            self._hosts.check(scope["headers"])
            handler = self._pages.get(path)
        if handler is None:
            self._access.check(scope["headers"])
            handler = self._guarded.get(path)
        if handler is not None:
            _check_method(scope, _GET)
            await handler(scope, send)
            return
        if (named := _LABELS.fullmatch(path)) is not None:
            await self._add_labels(named["name"], scope, receive, send)
            return
        route = routes.find(path)
        if route is not None and route.describe is not None:
            model = self._model(route)
            _check_method(scope, _GET)
            serving = serving_pool(model, route.reference)
            content = route.describe(serving.model, serving.version, serving.description)
            await respond(send, 200, json.dumps(content).encode())
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
        return RouteTarget(self._model(route), route.reference, route.protocol, route.template)

    def _model(self, route: Route) -> ServedModel:
        """The model of a route."""
        if route.name is None:
            if (only := self._models.only) is None:
                raise HttpError(
                    404, "RESOURCE_DOES_NOT_EXIST",
                    "This server does not serve exactly one model; use /models/NAME/invocations.",
                )  # fmt: skip
            return only
        model = self._models.get(route.name)
        if model is None:
            name, colon, _ = route.name.rpartition(":")  # unknown verbs are read as part of a name
            verb = route.protocol.unknown_verb
            if verb and colon and self._models.get(name) is not None:
                raise HttpError(404, "ENDPOINT_NOT_FOUND", verb)
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST", "This server does not serve a model of this name."
            )
        followed = model.uri.value if model.uri.reference is Reference.ALIAS else None
        if route.label is not None and route.label not in (followed, CANARY, SHADOW):
            raise HttpError(
                404, "RESOURCE_DOES_NOT_EXIST",
                "This label is no alias that the server follows for this model.",
            )  # fmt: skip
        return model

    async def _add_labels(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the truth about a model's predictions; whether they are logged is seen later."""
        model = self._model(routes.INVOCATIONS._replace(name=name))
        _check_method(scope, _POST)
        if self._labels is None:
            raise HttpError(404, "RESOURCE_DOES_NOT_EXIST", NO_LOG)
        body = await read_body(receive, self._max_body, _LABELS_SECONDS)
        taken = self._labels.accept(model.uri.model or model.name, body)
        await respond(send, 202, json.dumps({"labels": taken}).encode())

    async def _handle_webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a webhook of the registry; its signature replaces the API key."""
        _check_method(scope, _POST)
        payload = await read_body(receive, _WEBHOOK_LIMIT, _WEBHOOK_SECONDS)
        now = datetime.now(UTC).timestamp()
        if not is_genuine(dict(scope["headers"]), payload, self._webhook_secret, now):
            raise HttpError(401, "UNAUTHENTICATED", "This message was not signed with the secret.")
        self._models.wake()
        await respond(send, 202, b"")

    async def _livez(self, _: Scope, send: Send) -> None:
        await respond(send, 200, b"ok\n", TEXT)

    async def _version(self, _: Scope, send: Send) -> None:
        versions = {
            model.current.description["mlflow_version"] for model in self._models if model.current
        }
        if len(versions) != 1:
            raise HttpError(
                503, "TEMPORARILY_UNAVAILABLE",
                "No model serves yet, or their MLflow versions differ; /readyz says more.",
            )  # fmt: skip
        await respond(send, 200, versions.pop().encode(), TEXT)

    async def _openapi(self, _: Scope, send: Send) -> None:
        described = document.document(
            self._models, guarded=self._access.guarded, named=self._hosts.guarded,
            logged=self._labels is not None,
        )  # fmt: skip
        await respond(send, 200, json.dumps(described).encode())

    async def _docs(self, _: Scope, send: Send) -> None:
        await respond(send, 200, docs_page.page(self._models).encode(), _HTML, page.SAFE)


def _check_method(scope: Scope, allowed: Sequence[bytes]) -> None:
    if scope["method"].encode() not in allowed:
        raise HttpError(
            405, "BAD_REQUEST", "This path does not take this method.",
            [(b"allow", b", ".join(allowed))],
        )  # fmt: skip
