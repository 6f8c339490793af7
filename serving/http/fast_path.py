"""The short way of a prediction request: from the parser into the queue, and back in one write.

ASGI costs a task, a dozen objects and two messages a request, more than all that the front does for
it. A request that arrived whole and asks for nothing unusual needs none of that. Everything else
goes through ASGI; declining is always correct.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from cloche.serving.api.pending_response import PendingResponse
from cloche.serving.api.predictions import Exchange, Predictions, item_of
from cloche.serving.api.route_target import RouteTarget
from cloche.serving.dispatch.catalog import Catalog
from cloche.serving.processes.frames import Answer
from cloche.serving.web.allowed_hosts import AllowedHosts
from cloche.serving.web.asgi import HeaderList, HttpError
from cloche.serving.web.authentication import Authentication
from cloche.serving.web.cross_origin import may_be_simple
from cloche.serving.web.request_headers import RequestHeaders

_REMEMBERED = 1024  # paths: a version in them may be anything
_PLAIN = frozenset(b"-_./@+:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


class Client(Protocol):
    """Who asked, as far as an answer needs to know."""

    def has_left(self) -> bool:
        """Whether the client closed its connection."""

    def answer(self, status: int, body: bytes, content_type: bytes, headers: HeaderList) -> None:
        """Send a whole answer, unless the client left."""


class FastPath:
    """Takes whole prediction requests from connections."""

    def __init__(
        self,
        target: Callable[[str], RouteTarget],
        catalog: Catalog,
        predictions: Predictions,
        *,
        access: Authentication,
        hosts: AllowedHosts,
        max_body: int,
    ) -> None:
        """Prepare the way.

        Args:
            target: Whom a path is meant for; raises HttpError where that is nobody.
            catalog: Among whom.
            predictions: Who answers.
            access: Who may ask.
            hosts: By which names.
            max_body: Bytes of a body.
        """
        self._find = target
        self._catalog = catalog
        self._targets: dict[bytes, RouteTarget] = {}  # that were found since a model came or went
        self._changes = catalog.changes
        self._predictions = predictions
        self._access = access
        self._hosts = hosts
        self._max_body = max_body

    def target(self, url: bytes) -> RouteTarget | None:
        """Whom a POST to `url` is meant for; None if it must go through ASGI."""
        if self._changes != self._catalog.changes:
            self._targets.clear()
            self._changes = self._catalog.changes
        return self._targets.get(url) or self._found(url)

    def take(
        self, client: Client, target: RouteTarget, url: bytes,
        headers: Iterable[tuple[bytes, bytes]], body: bytes,
    ) -> bool:  # fmt: skip
        """Take a request; False if it must go through ASGI after all."""
        head = RequestHeaders(headers)
        if head.encoding or len(body) > self._max_body:
            return False
        if may_be_simple(target.form.door, head.content_type):
            return False
        try:
            self._hosts.check(headers)
            self._access.check(headers)
        except HttpError:
            return False
        scope = {"method": "POST", "path": url.decode("ascii")}
        exchange = self._predictions.begin(target, scope, head)
        waiting = _FastResponse(self._predictions, exchange, client)
        try:
            self._predictions.submit(
                exchange, item_of(exchange, body), waiting, client_left=client.has_left
            )
        except HttpError as error:
            waiting.end(error)
        return True

    def _found(self, url: bytes) -> RouteTarget | None:
        if self._predictions.traced or not _PLAIN.issuperset(url):
            return None
        try:
            target = self._find(url.decode("ascii"))
        except HttpError:
            return None
        if len(self._targets) >= _REMEMBERED:
            self._targets.clear()
        self._targets[url] = target
        return target


class _FastResponse(PendingResponse):
    """A request that waits."""

    __slots__ = ("_client",)

    def __init__(self, predictions: Predictions, exchange: Exchange, client: Client) -> None:
        super().__init__(predictions, exchange)
        self._client = client

    def answer(self, ended: Answer | HttpError) -> int:
        """Send it in one write."""
        reply = self.predictions.reply(self.exchange, ended)
        self._client.answer(*reply)
        return reply.status
