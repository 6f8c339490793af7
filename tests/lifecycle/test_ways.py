"""A request is answered the same, whichever way it takes through the front, and in its turn."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from tests.lifecycle.registry import serving_production
from tests.online import Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ways")]

BODY = json.dumps({"dataframe_records": [{"a": 0}]}).encode()
ANSWER = b'{"predictions": [1]}'


def post(*lines: bytes, path: bytes = b"/invocations", version: bytes = b"1.1") -> bytes:
    """The head of a prediction request."""
    head = [
        b"POST %b HTTP/%b" % (path, version),
        b"host: localhost",
        b"content-type: application/json",
    ]
    return b"\r\n".join([*head, *lines, b"", b""])


LENGTH = b"content-length: %d" % len(BODY)
WHOLE = post(LENGTH) + BODY  # this one goes the short way
PAGE = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
LONG_WAY = {
    "in two pieces": [post(LENGTH), BODY],
    "byte by byte": [bytes([byte]) for byte in WHOLE],
    "in chunks": [
        post(b"transfer-encoding: chunked"),
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    ],
    "after a query": [post(LENGTH, path=b"/invocations?a=b") + BODY],
    "with a question first": [post(LENGTH, b"expect: 100-continue") + BODY],
    "as HTTP/1.0": [post(LENGTH, version=b"1.0") + BODY],
    "for the last time": [post(LENGTH, b"connection: close") + BODY],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_production(tmp_path_factory.mktemp("ways")) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


class Answers:
    """The answers on one connection, in the order they come."""

    def __init__(self, client: socket.socket) -> None:
        self._stream = client.makefile("rb")

    def makefile(self, _: str) -> object:
        return self._stream

    def next(self) -> tuple[int, dict[str, str], bytes]:
        response = HTTPResponse(self, method="GET")  # type: ignore[arg-type]
        response.fp.close = lambda: None  # type: ignore[method-assign]  # more will follow
        response.begin()
        body = response.read()
        return response.status, dict(response.getheaders()), body


@pytest.mark.parametrize("parts", LONG_WAY.values(), ids=LONG_WAY.keys())
def test_both_ways_answer_the_same(client: socket.socket, parts: list[bytes]) -> None:
    answers = Answers(client)
    client.sendall(WHOLE)
    status, headers, body = answers.next()
    assert (status, body) == (200, ANSWER)
    for part in parts:
        client.sendall(part)
    again, also, same = answers.next()
    assert (again, same) == (status, body)
    assert headers.keys() == also.keys() - {"connection"}
    own = {"date", "x-request-id", "connection"}
    assert {name: also[name] for name in also.keys() - own} == {
        name: headers[name] for name in headers.keys() - own
    }


def test_what_is_sent_at_once_is_answered_in_turn(client: socket.socket) -> None:
    answers = Answers(client)
    client.sendall(WHOLE + PAGE + WHOLE + WHOLE + PAGE)
    assert [answers.next()[2] for _ in range(5)] == [ANSWER, b"ok\n", ANSWER, ANSWER, b"ok\n"]
    client.sendall(WHOLE)
    assert answers.next()[2] == ANSWER


def test_a_request_cut_short_after_a_whole_one_is_no_request(
    server: Server, client: socket.socket
) -> None:
    client.sendall(WHOLE + WHOLE[:-3])
    assert Answers(client).next()[2] == ANSWER
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert server.predict().status_code == 200


def test_a_client_that_leaves_before_its_answer_harms_nobody(
    server: Server, client: socket.socket
) -> None:
    client.sendall(WHOLE)
    client.close()
    assert server.predict().status_code == 200
    assert server.metric("cloche_requests_in_progress", model="m") == 0
