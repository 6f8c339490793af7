"""The parts of ASGI that the server uses: types, reading bodies within limits, sending answers."""

import asyncio
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

JSON = b"application/json"
BINARY = b"application/octet-stream"
TEXT = b"text/plain; charset=utf-8"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_TOO_LARGE = (
    "A body may have {} bytes. Send fewer rows at a time, or start the server with a larger "
    "--max-body."
)
_GZIP = 31  # the value of zlib's `wbits` for gzip
_CHUNK = 1 << 16  # zlib copies the data after a member, so each call gets little of it
_MOST_MEMBERS = 10_000  # a member costs microseconds, even an empty one

_VISIBLE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class HttpError(Exception):
    """A refusal of a request by the front. The client sees the message."""

    def __init__(
        self, status: int, code: str, message: str, headers: HeaderList | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or []


class ClientLeft(Exception):
    """The client closed its connection; nobody waits for an answer."""


def client_left(receive: Receive) -> bool:
    """Whether the client closed its connection.

    ASGI reports this only to a task that awaits the next message, and such a task for each request
    would cost more than the rest of the front. uvicorn's `receive` is a method of an object that
    knows it; with other servers the result is False.
    """
    cycle = getattr(receive, "__self__", None)
    return bool(getattr(cycle, "disconnected", False))


async def read_body(receive: Receive, limit: int, time_limit: float) -> bytes:
    """Read the whole body.

    Raises:
        HttpError: The body is longer than `limit` bytes, or takes longer than `time_limit` seconds.
        ClientLeft: The client left before the body was complete.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    try:
        async with asyncio.timeout(time_limit):
            return await _rest(receive, message, limit)
    except TimeoutError:
        raise HttpError(
            408, "REQUEST_TIMEOUT", "The body did not arrive in time.", [CLOSE]
        ) from None


async def _rest(receive: Receive, message: Message, limit: int) -> bytes:
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def too_large(limit: int) -> HttpError:
    """The error for a body longer than `limit` bytes."""
    return HttpError(413, "REQUEST_TOO_LARGE", _TOO_LARGE.format(limit), [CLOSE])


def gunzip(body: bytes, limit: int) -> bytes:
    """The content of all gzip members of `body`, one after the other (RFC 1952, section 2.2).

    Raises:
        HttpError: The body is not gzip to its last byte, or has more than `limit` bytes of content.
    """
    parts, size, members = [], 0, 1
    stream = zlib.decompressobj(wbits=_GZIP)
    for start in range(0, len(body), _CHUNK):
        rest = body[start : start + _CHUNK]
        while rest:
            if stream.eof:
                stream, members = zlib.decompressobj(wbits=_GZIP), members + 1
            if members > _MOST_MEMBERS:
                raise bad_request(f"The gzip body has more than {_MOST_MEMBERS} members.")
            try:
                part = stream.decompress(rest, limit - size + 1)
            except zlib.error:
                raise bad_request("The body is not gzip, as Content-Encoding says.") from None
            parts.append(part)
            size += len(part)
            if size > limit:
                raise too_large(limit)
            rest = stream.unused_data
    if not stream.eof:
        raise bad_request("The gzip body is cut short.")
    return b"".join(parts)


def bad_request(message: str) -> HttpError:
    """The error for a request whose body or headers are wrong."""
    return HttpError(400, "BAD_REQUEST", message)


CLOSE = (b"connection", b"close")


@lru_cache(1024)
def header_text(text: str) -> bytes:
    """Text as a header value, in which `?` replaces line ends and other control characters."""
    return _CONTROL.sub(b"?", text.encode("latin-1", "replace"))


@lru_cache(256)
def header_name(name: str) -> bytes:
    """A model's name as a header value, percent-encoded as in a path, since it may be any text.

    Visible ASCII characters other than `%` stay as they are.
    """
    return quote(name, safe=_VISIBLE).encode()


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a complete answer."""
    lines = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def error_body(code: str, message: str) -> bytes:
    """An error as JSON of MLflow's scoring protocol."""
    return json.dumps({"error_code": code, "message": message}).encode()
