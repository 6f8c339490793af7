"""A connection without a socket, whose application answers at once with the body that it read."""

import asyncio
import itertools
import re
from collections.abc import Iterable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from cloche.serving.api.route_target import RouteTarget
from cloche.serving.http.connection import Connection
from cloche.serving.http.fast_path import ClientConnection, FastPath
from cloche.serving.web.asgi import TEXT, ClientLeft, Receive, Scope, Send, read_body, respond

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Transport(asyncio.Transport):
    """Keeps what is written, and holds it back while `full` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.full = self.closed = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return len(self.written) if self.full else 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Taking:
    """A fast path that takes what is asked at /fast, and answers after turns of the event loop."""

    def __init__(self, turns: int = 0) -> None:
        self._turns = turns

    def target(self, url: bytes) -> RouteTarget | None:
        return cast("RouteTarget", url) if url == b"/fast" else None

    def take(
        self, client: ClientConnection, target: Any, url: bytes, headers: Any, body: bytes
    ) -> bool:
        self._wait(self._turns, client, body)
        return True

    def _wait(self, turns: int, client: ClientConnection, body: bytes) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1, client, body)
        else:
            client.answer(200, body, TEXT, [])


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body; at /unread without having read it, at /never not at all."""
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    try:
        body = b"" if scope["path"] == "/unread" else await read_body(receive, 10**6, 99.0)
    except ClientLeft:
        return
    await respond(send, 200, body, TEXT)


class Wire:
    """A connection, and both of its ends. Make it in a running loop."""

    def __init__(self, late: int = 0) -> None:
        config = uvicorn.Config(application, lifespan="off", ws="none", access_log=False)
        self.transport = Transport()
        self.connection = Connection(
            config, ServerState(), {}, fast_path=cast("FastPath", Taking(late))
        )
        self.connection.connection_made(self.transport)

    async def send(self, *pieces: bytes) -> None:
        """Have pieces arrive, each in a turn of its own."""
        for piece in pieces:
            if self.transport.closed:
                break
            self.connection.data_received(piece)
            await turns()
        await turns()

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in STATUS.findall(self.transport.written)]


async def turns(count: int = 10) -> None:
    """Let the event loop do what is due."""
    for _ in range(count):
        await asyncio.sleep(0)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that end at `places`, as far as there are such."""
    ends = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def request(
    path: str = "/fast", *lines: str, method: str = "POST", body: bytes = b"", version: str = "1.1"
) -> bytes:
    """A request; its length is said where there is a body and no line says otherwise."""
    if body and not any(line.startswith("transfer-encoding") for line in lines):
        lines = (*lines, f"content-length: {len(body)}")
    head = [f"{method} {path} HTTP/{version}", "host: localhost", *lines, "", ""]
    return "\r\n".join(head).encode() + body
