import asyncio
import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.front.web import ClientLeft, HttpError, Receive, gunzip, read_body


def receive_of(*messages: dict[str, Any]) -> Receive:
    pending = iter(messages)

    async def receive() -> dict[str, Any]:
        try:
            return next(pending)
        except StopIteration:
            return await asyncio.Future()

    return receive


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


def test_a_body_is_joined_from_its_parts() -> None:
    receive = receive_of(part(b"ab", more=True), part(b"c", more=False))
    assert asyncio.run(read_body(receive, 3, 9.0)) == b"abc"


@pytest.mark.parametrize("before", [[], [part(b"ab", more=True)]])
def test_a_body_that_is_cut_short_is_nobodys(before: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientLeft):
        asyncio.run(read_body(receive_of(*before, GONE), 99, 9.0))


@pytest.mark.parametrize("parts", [[b"abcd"], [b"ab", b"cd"]])
def test_a_body_longer_than_the_limit_is_refused(parts: list[bytes]) -> None:
    messages = [part(one, more=one is not parts[-1]) for one in parts]
    with pytest.raises(HttpError) as refusal:
        asyncio.run(read_body(receive_of(*messages), 3, 9.0))
    assert refusal.value.status == 413


def test_a_slow_client_is_timed_out() -> None:
    with pytest.raises(HttpError) as refusal:
        asyncio.run(read_body(receive_of(part(b"a", more=True)), 9, 0.0))
    assert refusal.value.status == 408


@given(st.binary(max_size=200))
def test_gzip_is_unpacked(body: bytes) -> None:
    assert gunzip(gzip.compress(body), 200) == body


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    with pytest.raises(HttpError) as refusal:
        gunzip(gzip.compress(b"\0" * 10**7), 1000)
    assert refusal.value.status == 413


@given(st.binary(max_size=60))
def test_what_is_no_gzip_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(HttpError) as refusal:
        gunzip(b"x" + body, 1000)
    assert refusal.value.status == 400


def test_gzip_that_is_cut_short_is_a_bad_request() -> None:
    with pytest.raises(HttpError) as refusal:
        gunzip(gzip.compress(b"abc" * 100)[:-4], 1000)
    assert refusal.value.status == 400
