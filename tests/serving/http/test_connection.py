"""Requests on a connection are answered in the order in which they came, whichever way they go."""

import asyncio
import itertools
import re
from collections.abc import Iterable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from cloche.serving.api.route_target import RouteTarget
from cloche.serving.http.connection import Connection
from cloche.serving.http.fast_path import Client, FastPath
from cloche.serving.web.asgi import TEXT, Receive, Scope, Send, read_body, respond

TURNS = 20  # of the event loop, until the model of a request that was taken answers
ANSWER = re.compile(rb"HTTP/1.1 200 .*?\r\n\r\n(\d)", re.DOTALL)


class Taking:
    """A fast path that takes what is asked at /fast, and answers late."""

    def target(self, url: bytes) -> RouteTarget | None:
        return cast("RouteTarget", url) if url == b"/fast" else None

    def take(self, client: Client, target: Any, url: bytes, headers: Any, body: bytes) -> bool:
        self._wait(TURNS, client, body)
        return True

    def _wait(self, turns: int, client: Client, body: bytes) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1, client, body)
        else:
            client.answer(200, body, TEXT, [])


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, await read_body(receive, 99, 9.0), TEXT)


async def answers(paths: Iterable[str], *, at_once: bool) -> list[bytes]:
    """The bodies of the answers to a request to each path, on one connection."""
    config = uvicorn.Config(application, lifespan="off", ws="none", access_log=False)
    state, loop = ServerState(), asyncio.get_running_loop()

    def connection() -> Connection:
        return Connection(config, state, {}, fast_path=cast("FastPath", Taking()))

    server = await loop.create_server(connection, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    requests = [
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{at}".encode()
        for at, path in enumerate(paths)
    ]
    received = b""
    if at_once:
        writer.write(b"".join(requests))
    for at, request in enumerate(requests, 1):
        if not at_once:
            writer.write(request)
        while len(ANSWER.findall(received)) < at:
            async with asyncio.timeout(30):
                received += await reader.read(9999)
    writer.close()
    server.close()
    return ANSWER.findall(received)


@pytest.mark.parametrize("at_once", [True, False], ids=["pipelined", "one-by-one"])
def test_answers_come_in_the_order_of_their_requests(at_once: bool) -> None:
    for paths in itertools.product(("/fast", "/asgi"), repeat=4):
        assert asyncio.run(answers(paths, at_once=at_once)) == [b"0", b"1", b"2", b"3"], paths
