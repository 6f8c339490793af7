"""Requests on a connection are answered in the order in which they came, whichever way they go."""

import asyncio
import itertools
import re
from collections.abc import Iterable

import pytest

from tests.serving.wire import Wire, request, turns

LATE = 20  # turns of the event loop, until the model of a request that was taken answers
ANSWER = re.compile(rb"HTTP/1.1 200 .*?\r\n\r\n(\d)", re.DOTALL)


async def answers(paths: Iterable[str], *, at_once: bool) -> list[bytes]:
    """The bodies of the answers to a request to each path, on one connection."""
    wire = Wire(LATE)
    requests = [request(path, body=b"%d" % at) for at, path in enumerate(paths)]
    for piece in [b"".join(requests)] if at_once else requests:
        await wire.send(piece)
        await turns(LATE * (len(requests) if at_once else 1))
    return ANSWER.findall(wire.transport.written)


@pytest.mark.parametrize("at_once", [True, False], ids=["pipelined", "one-by-one"])
def test_answers_come_in_the_order_of_their_requests(at_once: bool) -> None:
    for paths in itertools.product(("/fast", "/asgi"), repeat=4):
        assert asyncio.run(answers(paths, at_once=at_once)) == [b"0", b"1", b"2", b"3"], paths
