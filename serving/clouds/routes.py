"""A cloud's paths before those of an application: it translates, and the application answers.

It stands before the application and not inside it, so a server without a cloud knows nothing of it.
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


class CloudDoor:
    """An application, as a cloud asks for it."""

    def __init__(
        self,
        app: Application,
        contract: Contract,
        names: Callable[[], list[str]],
        *,
        max_body: int,
        patience: float,
    ) -> None:
        """Stand before an application.

        Args:
            app: Answers everything, under the paths of `cloche serve`.
            contract: What the cloud asks.
            names: Those of the model's inputs, now.
            max_body: Bytes of a body, also when unpacked.
            patience: Seconds that a client may take to send one.
        """
        self._app = app
        self._contract = contract
        self._names = names
        self._max_body = max_body
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, looks = scope["path"], scope["method"] in ("GET", "HEAD")
        if looks and path in self._contract.pages:
            await respond(send, 200, self._contract.pages[path])
        elif looks and path == self._contract.health_path:
            await self._app({**scope, "path": "/ping"}, receive, send)
        elif path == self._contract.predict_path:
            await self._predict({**scope, "path": "/invocations"}, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHeaders(scope["headers"])
        if scope["method"] != "POST" or head.encoding not in (b"", b"identity", b"gzip"):
            await self._app(scope, receive, send)  # it says what is wrong
            return
        accept: bytes = dict(scope["headers"]).get(b"accept", b"")
        asked = CloudRequest(head.content_type, accept.decode("latin-1"))
        try:
            body = await read_body(receive, self._max_body, self._patience)
            if head.encoding == b"gzip":
                body = gunzip(body, self._max_body)
            content_type, body, write = self._contract.dialect(asked, body, self._names())
        except (ClientLeft, HttpError) as error:
            await self._app(scope, _Refused(error).receive, send)
            return
        replaced = (*_REPLACED, b"accept-encoding") if write else _REPLACED
        scope["headers"] = [
            *(line for line in scope["headers"] if line[0] not in replaced),
            (b"content-type", content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
        ]
        answer = _Rewritten(send, write) if write else send
        await self._app(scope, _Whole(body, receive).receive, answer)


class _Refused:
    """A body that cannot be taken: the application answers and counts that as if it read it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def receive(self) -> Message:
        """Never anything.

        Raises:
            HttpError: Why.
            ClientLeft: The client went away before it was whole.
        """
        raise self._error


class _Whole:
    """A body that was read already, and the client that sent it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    @property
    def disconnected(self) -> bool:
        """Whether the client went away."""
        return client_left(self._receive)

    async def receive(self) -> Message:
        """The body, and then what else the client sends."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body}


class _Rewritten:
    """Sends an answer in another form. Answers come whole: a start, and one body."""

    def __init__(self, send: Send, write: Writer) -> None:
        self._send = send
        self._write = write
        self._start: Message = {}

    async def __call__(self, message: Message) -> None:
        """Send one message, or keep it until the next."""
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
