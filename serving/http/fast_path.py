"""The fast path of a prediction request: from the parser into the queue, and back in one write.

ASGI costs a task, a dozen objects and two messages for each request, more than the rest of the
front. Requests with a complete body and no Content-Encoding bypass it, unless another check of
`take` declines them. All others go through ASGI; declining a request is always correct.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from cloche.serving.api.exchange import Exchange
from cloche.serving.api.pending_response import PendingResponse
from cloche.serving.api.predictions import PredictionService, item_of
from cloche.serving.api.route_target import RouteTarget
from cloche.serving.dispatch.served_models import ServedModels
from cloche.serving.processes.frames import Answer
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.asgi import HeaderList, HttpError
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.cross_origin import may_be_simple
from cloche.serving.web.request_headers import RequestHeaders

_REMEMBERED = 1024  # paths; there is a limit because the version in a path may be any text
_PLAIN = frozenset(b"-_./@+:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


class ClientConnection(Protocol):
    """The connection of a client, as far as the fast path uses it."""

    def has_left(self) -> bool:
        """Whether the client closed its connection."""

    def answer(self, status: int, body: bytes, content_type: bytes, headers: HeaderList) -> None:
        """Send a complete answer, unless the client left."""


class FastPath:
    """Queues complete prediction requests of connections, without ASGI."""

    def __init__(
        self,
        target: Callable[[str], RouteTarget],
        models: ServedModels,
        predictions: PredictionService,
        *,
        access: Authentication,
        hosts: AllowedHosts,
        max_body: int,
    ) -> None:
        self._route = target
        self._models = models
        self._targets: dict[bytes, RouteTarget] = {}  # cached until a model is added or removed
        self._changes = models.changes
        self._predictions = predictions
        self._access = access
        self._hosts = hosts
        self._max_body = max_body

    def target(self, url: bytes) -> RouteTarget | None:
        """The target of a POST to `url`; None if the request must go through ASGI."""
        if self._changes != self._models.changes:
            self._targets.clear()
            self._changes = self._models.changes
        return self._targets.get(url) or self._find_target(url)

    def take(
        self, client: ClientConnection, target: RouteTarget, url: bytes,
        headers: Iterable[tuple[bytes, bytes]], body: bytes,
    ) -> bool:  # fmt: skip
        """Queue a request; False if it must go through ASGI after all."""
        head = RequestHeaders(headers)
        if head.encoding or len(body) > self._max_body:
            return False
        if target.protocol.takes_any_type and may_be_simple(head.content_type):
            return False
        try:
            self._hosts.check(headers)
            self._access.check(headers)
        except HttpError:
            return False
        scope = {"method": "POST", "path": url.decode("ascii"), "headers": headers}
        exchange = self._predictions.begin(target, scope, head)
        waiting = _FastResponse(self._predictions, exchange, client)
        try:
            self._predictions.submit(
                exchange, item_of(exchange, body), waiting, client_left=client.has_left
            )
        except HttpError as error:
            waiting.end(error)
        return True

    def _find_target(self, url: bytes) -> RouteTarget | None:
        if self._predictions.observer.traced or not _PLAIN.issuperset(url):
            return None
        try:
            target = self._route(url.decode("ascii"))
        except HttpError:
            return None
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        self._targets[url] = target
        return target


class _FastResponse(PendingResponse):
    """A request on the fast path that waits for its answer."""

    __slots__ = ("_client",)

    def __init__(
        self, predictions: PredictionService, exchange: Exchange, client: ClientConnection
    ) -> None:
        super().__init__(predictions, exchange)
        self._client = client

    def answer(self, outcome: Answer | HttpError) -> None:
        """Send the answer in one write."""
        self._client.answer(*self.predictions.reply(self.exchange, outcome))
