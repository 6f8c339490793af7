"""The short way of a prediction request: from the parser into the queue, and back in one write.

ASGI costs a task, a dozen objects and two messages a request, more than all that the front does for
it. A request that arrived whole and asks for nothing unusual needs none of that. Everything else
goes through ASGI; declining is always correct.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from serving.front.access import Access
from serving.front.head import Head
from serving.front.model import ServedModel
from serving.front.predictions import Exchange, Predictions
from serving.front.request import CLIENT_LEFT, Ended
from serving.front.web import HeaderList, HttpError
from serving.host.frames import Answer

_PLAIN = frozenset(b"-_./@+ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
Destination = tuple[ServedModel, str | None]


class Client(Protocol):
    """Who asked, as far as an answer needs to know."""

    def has_left(self) -> bool:
        """Whether the client closed its connection."""

    def answer(self, status: int, content_type: bytes, headers: HeaderList, body: bytes) -> None:
        """Send a whole answer, unless the client left."""


class FastPath:
    """Takes whole prediction requests from connections."""

    def __init__(
        self,
        route: Callable[[str], Destination],
        predictions: Predictions,
        access: Access,
        max_body: int,
    ) -> None:
        """Prepare the way.

        Args:
            route: Whom a path is meant for; raises HttpError where that is nobody.
            predictions: Who answers.
            access: Who may ask.
            max_body: Bytes of a body.
        """
        self._route = route
        self._predictions = predictions
        self._access = access
        self._max_body = max_body

    def destination(self, target: bytes) -> Destination | None:
        """Whom a POST to `target` is meant for; None if it must go through ASGI."""
        if self._predictions.traced or not _PLAIN.issuperset(target):
            return None
        try:
            return self._route(target.decode("ascii"))
        except HttpError:
            return None

    def take(
        self, client: Client, destination: Destination, target: bytes,
        headers: Iterable[tuple[bytes, bytes]], body: bytes,
    ) -> bool:  # fmt: skip
        """Take a request; False if it must go through ASGI after all."""
        head = Head(headers)
        if head.encoding or len(body) > self._max_body:
            return False
        try:
            self._access.check(headers)
        except HttpError:
            return False
        model, version = destination
        exchange = self._predictions.begin(model, head)
        waiting = _Waiting(self._predictions, client, exchange, target)
        try:
            self._predictions.submit(exchange, version, body, waiting, client.has_left)
        except HttpError as error:
            waiting.refuse(error)
        return True


class _Waiting:
    """A request that waits: where its ending is put, and from there to the client."""

    __slots__ = ("_client", "_done", "_exchange", "_predictions", "_target")

    def __init__(
        self, predictions: Predictions, client: Client, exchange: Exchange, target: bytes
    ) -> None:
        self._predictions = predictions
        self._client = client
        self._exchange = exchange
        self._target = target
        self._done = False

    def done(self) -> bool:
        """Whether it ended."""
        return self._done

    def set_result(self, answer: Answer) -> None:
        """Send the answer of a host."""
        self._end(answer)

    def set_exception(self, ended: Ended) -> None:
        """Say why no host answered, unless nobody is there to hear it."""
        if ended.reason != CLIENT_LEFT:
            self._end(self._predictions.ending(self._exchange.model, ended))
            return
        self._leave()
        self._predictions.abandoned(self._exchange)

    def refuse(self, error: HttpError) -> None:
        """Answer a request that no host is to see."""
        self._end(error)

    def _end(self, ended: Answer | HttpError) -> None:
        self._leave()
        exchange = self._exchange
        reply = self._predictions.reply(exchange, ended, exchange.head.traceparent)
        self._client.answer(*reply)
        self._predictions.answered(exchange, reply.status, self._target.decode("ascii"))

    def _leave(self) -> None:
        self._done = True
        self._exchange.model.in_progress -= 1
