"""What a head may have does not depend on how its bytes arrive."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.serving.http.head_limits import HEAD_LIMIT, MOST_HEADERS, HeadCount, without_upgrade
from tests.in_a_loop import in_a_loop
from tests.serving.wire import Wire, cut, request

ROOM = HEAD_LIMIT - len(request("/fast", "x: "))  # for the value of a header


def answered(pieces: list[bytes]) -> list[int]:
    async def talk() -> list[int]:
        wire = Wire()
        await wire.send(*pieces)
        return wire.statuses

    return asyncio.run(talk())


HEADS = {
    "as large as it may be": (request("/fast", f"x: {'a' * ROOM}"), 200),
    "one byte more": (request("/fast", f"x: {'a' * (ROOM + 1)}"), 431),
    "a large head before a body": (request("/fast", f"x: {'a' * 70_000}", body=b"b"), 431),
    "a long path": (request("/" + "a" * 70_000), 431),
    "many small headers": (request("/fast", *["a: b"] * 5_000), 431),
    "as many headers as it may have": (request("/fast", *["a: b"] * (MOST_HEADERS - 1)), 200),
    "one header more": (request("/fast", *["a: b"] * MOST_HEADERS), 431),
    "filled up with spaces": (request("/fast", f"x:{' ' * 70_000}b"), 431),
    "a large body": (request("/fast", body=b"\r\n\r\n" * 50_000), 200),
    "a large body in chunks": (
        request("/fast", "transfer-encoding: chunked", body=b"2\r\nab\r\n" * 30_000 + b"0\r\n\r\n"),
        200,
    ),
    "headers after the body": (
        request("/x", "transfer-encoding: chunked", body=b"1\r\na\r\n0\r\nt: u\r\n\r\n"),
        200,
    ),
    "empty lines before": (b"\r\n\r\n" * 9 + request("/fast", f"x: {'a' * 70_000}"), 431),
}


@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=15, deadline=None)
@given(
    places=st.lists(st.integers(0, 210_000), max_size=5), steps=st.sampled_from([0, 1000, 65_536])
)
def test_a_head_is_answered_the_same_however_it_arrives(
    name: str, places: list[int], steps: int
) -> None:
    sent, status = HEADS[name]
    pieces = cut(sent, [*places, *(range(0, len(sent), steps) if steps else ())])
    assert answered(pieces) == [status]


def test_a_large_head_after_another_request_is_refused_and_that_one_is_answered() -> None:
    both = request("/fast", body=b"1") + request("/fast", f"x: {'a' * 70_000}")
    for pieces in ([both], cut(both, [100]), cut(both, range(0, len(both), 9000))):
        assert answered(pieces) == [200, 431]


@pytest.mark.parametrize(
    "endless",
    [b"x: " + b"a" * 70_000, b"a: b\r\n" * 5_000, b"x:" + b" " * 70_000],
    ids=["value", "count", "spaces"],
)
@pytest.mark.parametrize("step", [100_000, 20_000, 999])
def test_a_head_that_never_ends_is_refused(endless: bytes, step: int) -> None:
    sent = b"GET / HTTP/1.1\r\nhost: localhost\r\nb: c\r\n" + endless
    assert answered(cut(sent, range(0, len(sent), step))) == [431]


@pytest.mark.parametrize("endless", [b"1;a=", b"0\r\nx: "], ids=["remark", "trailer"])
def test_what_stands_beside_a_body_has_an_end(endless: bytes) -> None:
    head = request("/x", "transfer-encoding: chunked") + b"1\r\na\r\n" + endless
    assert answered([head, *[b"a" * 50_000] * 3]) == [431]


@in_a_loop
async def test_headers_after_a_body_are_none_of_the_request() -> None:
    wire = Wire()
    late = b"1\r\na\r\n0\r\nauthorization: Bearer late\r\n\r\n"
    await wire.send(request("/x", "transfer-encoding: chunked", body=late))
    assert wire.statuses == [200]
    assert b"authorization" not in dict(wire.connection.scope["headers"])


@given(st.binary(max_size=60), st.lists(st.integers(0, 80), max_size=6))
def test_the_bytes_of_a_head_are_counted_in_any_pieces(body: bytes, places: list[int]) -> None:
    head = b"GET / HTTP/1.1\r\na: b\r\n\r\n"
    count = HeadCount()
    seen = 0
    for piece in cut(head + body, places):
        if seen < len(head):
            count.add(piece)
        seen += len(piece)
    assert count.size == len(head)


def test_an_upgrade_is_left_out_and_nothing_else() -> None:
    headers = [(b"host", b"x"), (b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", b"h2c")]
    head = b"POST /a HTTP/1.1\r\nhost: x\r\nconnection: HTTP2-Settings\r\n\r\n"
    assert without_upgrade(b"POST", b"/a", "1.1", headers) == head
    head = b"GET / HTTP/1.1\r\n\r\n"
    assert without_upgrade(b"GET", b"/", "1.1", [(b"connection", b"upgrade")]) == head
