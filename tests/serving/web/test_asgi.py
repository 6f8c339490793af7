import asyncio
import gzip
import os
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche.serving.web.asgi import ClientLeft, HttpError, Receive, gunzip, header_name, read_body
from tests.names import ODD


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


def test_a_body_is_joined_from_its_parts_and_nobodys_where_it_is_cut_short() -> None:
    receive = receive_of(part(b"ab", more=True), part(b"c", more=False))
    assert asyncio.run(read_body(receive, 3, 9.0)) == b"abc"
    for before in ([], [part(b"ab", more=True)]):
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


members = st.lists(st.binary(max_size=200), min_size=1, max_size=5)


@given(members, st.data())
def test_all_members_of_gzip_are_unpacked_or_cut_short_and_a_bad_request(
    bodies: list[bytes], data: st.DataObject
) -> None:
    packed = [gzip.compress(body) for body in bodies]
    assert gunzip(b"".join(packed), 1000) == b"".join(bodies)
    cut = packed.pop()
    cut = cut[: data.draw(st.integers(1, len(cut) - 1))]
    with pytest.raises(HttpError) as refusal:
        gunzip(b"".join(packed) + cut, 1000)
    assert refusal.value.status == 400


def test_members_may_begin_and_end_anywhere_in_a_body() -> None:
    bodies = [os.urandom(size) for size in (70_000, 0, 65_536)]
    assert gunzip(b"".join(map(gzip.compress, bodies)), 200_000) == b"".join(bodies)


@pytest.mark.parametrize("count", [1, 50, 10_000])
def test_a_gzip_bomb_is_stopped_at_the_limit(count: int) -> None:
    bomb = gzip.compress(b"\0" * (10**7 // count)) * count
    with pytest.raises(HttpError) as refusal:
        gunzip(bomb, 1000)
    assert refusal.value.status == 413


def test_endless_members_without_content_are_a_bad_request() -> None:
    with pytest.raises(HttpError, match="10000 members") as refusal:
        gunzip(gzip.compress(b"") * 100_000, 1000)
    assert refusal.value.status == 400


@given(members, st.binary(max_size=60), st.sampled_from([b"\0", b"x", b"\x1f\x8b"]))
def test_what_is_not_gzip_to_its_end_is_a_bad_request(
    bodies: list[bytes], tail: bytes, first: bytes
) -> None:
    for before in (b"", b"".join(map(gzip.compress, bodies))):
        with pytest.raises(HttpError) as refusal:
            gunzip(before + first + tail, 1000)
        assert refusal.value.status == 400


def test_a_header_can_name_every_model() -> None:
    for name in ODD:
        value = header_name(name)
        assert unquote(value.decode("ascii")) == name
        assert not any(byte < 0x21 or byte > 0x7E for byte in value), name
