"""Header blocks: what is remembered of them is what they say, whatever was sent in between."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.serving.front.grpc.frames import ConnectionFault
from cloche.serving.front.grpc.headers import Blocks, HeaderList, fields, opening

NEWEST, SECOND = b"\xbe", b"\xbf"  # entries of the dynamic table
ADDED = [b"\x40\x01a\x01" + value for value in (b"1", b"2", b"3")]
PLAIN = [b"\x82", b"\x00\x01a\x011"]  # a method; a header that enters no table
EMPTIED, RESTORED = b"\x20", b"\x3f\xe1\x1f"  # sizes of the table: none, and 4096
parts = st.lists(st.sampled_from([NEWEST, SECOND, *ADDED, *PLAIN]), max_size=2).map(b"".join)
beginnings = st.sampled_from([b""] * 6 + [EMPTIED, RESTORED, EMPTIED + RESTORED])


@settings(max_examples=500)
@given(st.lists(st.tuples(beginnings, parts).map(b"".join), max_size=15))
def test_a_block_means_what_it_means_without_a_memory(sent: list[bytes]) -> None:
    plain, blocks = Decoder(), Blocks[HeaderList](list)
    for block in [ADDED[0], ADDED[1], NEWEST, *sent]:
        try:
            expected = [tuple(one) for one in plain.decode(block, raw=True)]
        except HPACKError:
            with pytest.raises(ConnectionFault):
                blocks.read(block)
            return
        assert blocks.read(block) == expected


def test_what_is_known_is_not_read_again() -> None:
    understood = []
    blocks = Blocks(lambda headers: understood.append(headers) or headers)  # type: ignore[func-returns-value]
    block = fields([(b"a", b"1")])
    assert blocks.read(block) is blocks.read(block)
    blocks.read(Encoder().encode([(b"b", b"2")]))  # enters the table
    blocks.read(block)
    assert len(understood) == 3


def test_what_is_remembered_is_bounded() -> None:
    blocks = Blocks[HeaderList](list)
    for at in range(1000):
        blocks.read(fields([(b"a", b"%d" % at)]))
    blocks.read(fields([(b"a", b"x" * 5000)]))
    assert sum(map(len, blocks._remembered)) < 1000


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 300, 20_000])
def test_what_is_written_is_read_by_any_client(length: int) -> None:
    client = Decoder()
    client.max_allowed_table_size = 0  # one that keeps no table
    headers = [(b":status", b"200"), (b"x", b"v" * length)]
    assert client.decode(opening(headers), raw=True) == headers
    assert client.decode(fields(headers), raw=True) == headers
