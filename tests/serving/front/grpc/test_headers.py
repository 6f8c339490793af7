"""Header blocks: what is remembered of them is what they say, whatever was sent in between."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from serving.front.grpc.frames import ConnectionFault
from serving.front.grpc.headers import Blocks, HeaderList, fields, opening

names = st.sampled_from([b"a", b"b", b"accept", b":path", b"x-" + b"long" * 20])
values = st.sampled_from([b"", b"1", b"2", b"v" * 200])
lists = st.lists(st.tuples(names, values, st.booleans()), max_size=4)
tables = st.sampled_from([None, None, None, 0, 100, 4096])


@given(st.lists(st.tuples(lists, tables), max_size=12), st.data())
def test_a_block_means_what_it_means_without_a_memory(
    sent: list[tuple[list[tuple[bytes, bytes, bool]], int | None]], data: st.DataObject
) -> None:
    encoder, plain, blocks = Encoder(), Decoder(), Blocks[HeaderList](list)
    seen: list[bytes] = []
    for headers, size in sent:
        if size is not None:
            encoder.header_table_size = size
        seen.append(encoder.encode(headers))
        block = data.draw(st.sampled_from(seen[-1:] * 3 + seen))  # mostly in order
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
