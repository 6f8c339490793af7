"""A wrapper of the ASGI application that translates a cloud's paths and bodies.

It wraps the application instead of being part of it, so a server without a cloud has none of it.
"""

from collections.abc import Callable

from cloche.serving.cloud_contract import CloudRequest, Contract, Writer
from cloche.serving.web.asgi import (
    Application,
    ClientLeft,
    HttpError,
    Message,
    Receive,
    Scope,
    Send,
    client_left,
    gunzip,
    read_body,
    respond,
)
from cloche.serving.web.request_headers import RequestHeaders

_REPLACED = (b"content-type", b"content-length", b"content-encoding")


class CloudRoutes:
    """An ASGI application under the paths and with the bodies of a cloud."""

    def __init__(
        self,
        app: Application,
        contract: Contract,
        names: Callable[[], list[str]],
        *,
        max_body: int,
        time_limit: float,
    ) -> None:
        """Wrap an application; `max_body` limits a body before and after decompression."""
        self._app = app
        self._contract = contract
        self._names = names
        self._max_body = max_body
        self._time_limit = time_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, is_get = scope["path"], scope["method"] in ("GET", "HEAD")
        if is_get and path in self._contract.pages:
            await respond(send, 200, self._contract.pages[path])
        elif is_get and path == self._contract.health_path:
            await self._app({**scope, "path": "/ping"}, receive, send)
        elif path == self._contract.predict_path:
            await self._predict({**scope, "path": "/invocations"}, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHeaders(scope["headers"])
        if scope["method"] != "POST" or head.encoding not in (b"", b"identity", b"gzip"):
            await self._app(scope, receive, send)  # which reports the error
            return
        accept: bytes = dict(scope["headers"]).get(b"accept", b"")
        asked = CloudRequest(head.content_type, accept.decode("latin-1"))
        try:
            body = await read_body(receive, self._max_body, self._time_limit)
            if head.encoding == b"gzip":
                body = gunzip(body, self._max_body)
            content_type, body, write = self._contract.dialect(asked, body, self._names())
        except (ClientLeft, HttpError) as error:
            await self._app(scope, _FailingBody(error).receive, send)
            return
        replaced = (*_REPLACED, b"accept-encoding") if write else _REPLACED
        scope["headers"] = [
            *(line for line in scope["headers"] if line[0] not in replaced),
            (b"content-type", content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
        ]
        answer = _RewritingSend(send, write) if write else send
        await self._app(scope, _ReadBody(body, receive).receive, answer)


class _FailingBody:
    """A body that cannot be read: the application answers and counts the error as its own."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def receive(self) -> Message:
        """Raise the error instead of returning a message.

        Raises:
            HttpError: The body cannot be read or translated.
            ClientLeft: The client left before the body was complete.
        """
        raise self._error


class _ReadBody:
    """A body that was read already, and the connection of its client."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    @property
    def disconnected(self) -> bool:
        """Whether the client closed its connection."""
        return client_left(self._receive)

    async def receive(self) -> Message:
        """Return the body, and after that the client's further messages."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body}


class _RewritingSend:
    """Rewrites an answer for the cloud. The application sends it as a start and one body."""

    def __init__(self, send: Send, write: Writer) -> None:
        self._send = send
        self._write = write
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        """Keep the start of the answer until its body comes, then send both rewritten."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, body = self._start, message["body"]
        if start["status"] == 200:
            kind, body = self._write(body)
            start["headers"] = [
                *(line for line in start["headers"] if line[0] not in _REPLACED),
                (b"content-type", kind),
                (b"content-length", b"%d" % len(body)),
            ]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})
