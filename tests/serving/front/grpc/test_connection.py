"""What a connection does with bytes, right and wrong: RFC 9113, without a socket."""

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloche.serving.front.grpc import frames
from cloche.serving.front.grpc.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    LARGEST,
    MOST,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    frame,
    window_update,
)
from cloche.serving.front.grpc.headers import fields
from tests.serving.front.grpc.talking import (
    HEAD,
    LIMIT,
    Client,
    Place,
    Wire,
    answer,
    by_stream,
    framed,
)

GREETING = PREFACE + frame(SETTINGS)
BLOCK = fields(HEAD)
WHOLE = END_HEADERS | END_STREAM
ASKED = frame(HEADERS, END_HEADERS, 1, BLOCK) + frame(DATA, END_STREAM, 1, framed(b"hello"))


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def wire(place: Place) -> Wire:
    """A connection that has been greeted."""
    wire = place.connected().send(GREETING)
    wire.take()
    return wire


def settings_frame(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack("!HI", *pair) for pair in pairs))


def opened(number: int = 1) -> bytes:
    """A call whose body is not whole."""
    return frame(HEADERS, END_HEADERS, number, BLOCK)


def headed(*headers: tuple[bytes, bytes], number: int = 1) -> bytes:
    return frame(HEADERS, WHOLE, number, fields(headers))


# -- what comes back


def test_a_call_is_answered_in_one_write(wire: Wire) -> None:
    wire.send(ASKED)
    head, data, ending = wire.frames()
    assert (head.kind, head.stream, head.flags) == (HEADERS, 1, END_HEADERS)
    assert (data.kind, data.payload) == (DATA, framed(b"hello"))
    assert (ending.kind, ending.flags) == (HEADERS, WHOLE)


sizes = st.lists(st.integers(0, 200) | st.integers(0, 20_000), min_size=1, max_size=3)
cuts = st.lists(st.integers(0, 60_000), max_size=12)


@settings(max_examples=150)
@given(sizes, cuts, st.booleans())
def test_however_the_bytes_are_cut_the_answers_are_the_same(
    asked: list[int], places: list[int], in_order: bool
) -> None:
    messages = [bytes([at]) * size for at, size in enumerate(asked)]
    wire = Place(later=not in_order).connected()
    client = Client(wire)
    numbers = client.ask(*map(framed, messages))
    data = client.outgoing()
    edges = sorted({0, len(data), *(at % len(data) for at in places)})
    wire.send(*(data[begin:end] for begin, end in pairwise(edges)))
    if not in_order:
        for stream, body in reversed(wire.place.calls):
            answer(stream, body)
    found = by_stream(client.events())
    for number, message in zip(numbers, messages, strict=True):
        assert found[number].data == framed(message)
        assert found[number].headers[b"grpc-status"] == b"0"
        assert found[number].ended


def test_byte_by_byte_is_the_same_too(place: Place) -> None:
    wire = place.connected()
    client = Client(wire)
    (number,) = client.ask(framed(b"hello"))
    wire.send(*(bytes([byte]) for byte in client.outgoing()))
    assert by_stream(client.events())[number].data == framed(b"hello")


def test_padding_priority_and_unknown_frames_mean_nothing(wire: Wire) -> None:
    padded = bytes([3]) + bytes(4) + b"\x07" + BLOCK + bytes(3)
    wire.send(
        frame(0xEE, 0xFF, 9, b"?"),
        frame(PRIORITY, stream=9, payload=bytes(5)),
        frame(HEADERS, END_HEADERS | PADDED | frames.WITH_PRIORITY, 1, padded),
        frame(DATA, END_STREAM | PADDED, 1, b"\x02" + framed(b"hello") + bytes(2)),
    )
    assert wire.frames()[1].payload == framed(b"hello")


def test_a_header_block_may_come_in_parts(wire: Wire) -> None:
    wire.send(
        frame(HEADERS, 0, 1, BLOCK[:5]),
        frame(CONTINUATION, 0, 1, BLOCK[5:9]),
        frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]),
        frame(DATA, END_STREAM, 1, framed(b"hello")),
    )
    assert wire.frames()[1].payload == framed(b"hello")


def test_headers_may_end_a_body(wire: Wire) -> None:
    wire.send(
        opened(), frame(DATA, 0, 1, framed(b"hello")),
        frame(HEADERS, WHOLE, 1, fields([(b"x-after", b"1")])),
    )  # fmt: skip
    assert wire.frames()[1].payload == framed(b"hello")


def test_a_ping_comes_back(wire: Wire) -> None:
    wire.send(frame(PING, payload=b"12345678"))
    assert wire.frames() == [frames.Frame(PING, ACK, 0, b"12345678")]


def test_the_last_settings_are_agreed_to_once_each(place: Place) -> None:
    wire = place.connected().send(GREETING, settings_frame((4, 100)), frame(SETTINGS, ACK))
    acks = [one for one in wire.frames() if one.kind == SETTINGS and one.flags == ACK]
    assert len(acks) == 2


# -- what is wrong

WRONG: dict[str, tuple[list[bytes], str, Code]] = {
    "another protocol": ([b"GET / HTTP/1.1\r\n"], "GOAWAY", Code.PROTOCOL_ERROR),
    "no settings": ([PREFACE, frame(PING, payload=bytes(8))], "GOAWAY", Code.PROTOCOL_ERROR),
}
RIGHT_THEN = {
    "too large a frame": (frame(DATA, 0, 1, bytes(LARGEST + 1)), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "data on no stream": (frame(DATA, 0, 0, b"x"), "GOAWAY", Code.PROTOCOL_ERROR),
    "data before headers": (frame(DATA, 0, 1, b"x"), "GOAWAY", Code.PROTOCOL_ERROR),
    "data after the end": (
        opened() + frame(DATA, END_STREAM, 1, b"") + frame(DATA, 0, 1, b"x"),
        "GOAWAY", Code.STREAM_CLOSED,
    ),
    "data after a reset": (
        opened() + frame(RST_STREAM, stream=1, payload=bytes(4)) + frame(DATA, 0, 1, b"x"),
        "GOAWAY", Code.STREAM_CLOSED,
    ),
    "all padding": (
        opened() + frame(DATA, PADDED, 1, b"\x05abc"), "GOAWAY", Code.PROTOCOL_ERROR
    ),
    "padding without a length": (
        opened() + frame(DATA, PADDED, 1), "GOAWAY", Code.FRAME_SIZE_ERROR
    ),
    "an even stream": (opened(2), "GOAWAY", Code.PROTOCOL_ERROR),
    "stream zero": (opened(0), "GOAWAY", Code.PROTOCOL_ERROR),
    "an old stream": (opened(5) + opened(3), "GOAWAY", Code.STREAM_CLOSED),
    "a priority cut short": (
        frame(HEADERS, END_HEADERS | frames.WITH_PRIORITY, 1, b"abc"),
        "GOAWAY", Code.FRAME_SIZE_ERROR,
    ),
    "a block that is none": (
        frame(HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff"), "GOAWAY", Code.COMPRESSION_ERROR
    ),
    "a block of no table": (frame(HEADERS, WHOLE, 1, b"\xfe"), "GOAWAY", Code.COMPRESSION_ERROR),
    "a block interrupted": (
        frame(HEADERS, 0, 1, BLOCK) + frame(PING, payload=bytes(8)), "GOAWAY", Code.PROTOCOL_ERROR
    ),
    "a block interrupted by what is unknown": (
        frame(HEADERS, 0, 1, BLOCK) + frame(0xEE), "GOAWAY", Code.PROTOCOL_ERROR
    ),
    "a block continued elsewhere": (
        frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, END_HEADERS, 3),
        "GOAWAY", Code.PROTOCOL_ERROR,
    ),
    "nothing to continue": (frame(CONTINUATION, 0, 1), "GOAWAY", Code.PROTOCOL_ERROR),
    "a block without end": (
        frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 1) * 100,
        "GOAWAY", Code.ENHANCE_YOUR_CALM,
    ),
    "a large block": (
        frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 1, bytes(LARGEST)) * 5,
        "GOAWAY", Code.ENHANCE_YOUR_CALM,
    ),
    "many headers in few bytes": (
        headed(*HEAD, *[(b"a", b"")] * 3000), "GOAWAY", Code.ENHANCE_YOUR_CALM
    ),
    "a pushed stream": (frame(PUSH_PROMISE, 0, 1, bytes(4)), "GOAWAY", Code.PROTOCOL_ERROR),
    "a short ping": (frame(PING, payload=b"x"), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "a ping of a stream": (frame(PING, 0, 1, bytes(8)), "GOAWAY", Code.PROTOCOL_ERROR),
    "a short farewell": (frame(GOAWAY, payload=b"x"), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "a farewell of a stream": (frame(GOAWAY, 0, 1, bytes(8)), "GOAWAY", Code.PROTOCOL_ERROR),
    "settings of a stream": (frame(SETTINGS, 0, 1), "GOAWAY", Code.PROTOCOL_ERROR),
    "half a setting": (frame(SETTINGS, payload=b"abc"), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "agreement to something": (
        frame(SETTINGS, ACK, payload=bytes(6)), "GOAWAY", Code.FRAME_SIZE_ERROR
    ),
    "push of two": (settings_frame((2, 2)), "GOAWAY", Code.PROTOCOL_ERROR),
    "a window too large": (settings_frame((4, MOST + 1)), "GOAWAY", Code.FLOW_CONTROL_ERROR),
    "small frames": (settings_frame((5, 100)), "GOAWAY", Code.PROTOCOL_ERROR),
    "a short reset": (opened() + frame(RST_STREAM, 0, 1, b"x"), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "a reset of nothing": (
        frame(RST_STREAM, stream=1, payload=bytes(4)), "GOAWAY", Code.PROTOCOL_ERROR
    ),
    "a short window": (frame(WINDOW_UPDATE, payload=b"x"), "GOAWAY", Code.FRAME_SIZE_ERROR),
    "a window of nothing": (window_update(1, 1), "GOAWAY", Code.PROTOCOL_ERROR),
    "no more window": (window_update(0, 0), "GOAWAY", Code.PROTOCOL_ERROR),
    "no more window of a stream": (
        opened() + window_update(1, 0), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "too much window": (window_update(0, MOST), "GOAWAY", Code.FLOW_CONTROL_ERROR),
    "too much window of a stream": (
        opened() + window_update(1, MOST), "RST_STREAM", Code.FLOW_CONTROL_ERROR
    ),
    "too much window by settings": (
        settings_frame((4, 0)) + opened() + window_update(1, MOST) + settings_frame((4, 1000)),
        "GOAWAY", Code.FLOW_CONTROL_ERROR,
    ),
    "a priority of nothing": (frame(PRIORITY, payload=bytes(5)), "GOAWAY", Code.PROTOCOL_ERROR),
    "a short priority": (
        opened() + frame(PRIORITY, 0, 1, b"x"), "RST_STREAM", Code.FRAME_SIZE_ERROR
    ),
    "headers that do not end a body": (
        opened() + opened(), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "a body of another length": (
        frame(HEADERS, END_HEADERS, 1, fields([*HEAD, (b"content-length", b"9")]))
        + frame(DATA, END_STREAM, 1, b"x"),
        "RST_STREAM", Code.PROTOCOL_ERROR,
    ),
    "a length that is none": (
        headed(*HEAD, (b"content-length", b"many")), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "capital letters": (headed(*HEAD, (b"X-a", b"1")), "RST_STREAM", Code.PROTOCOL_ERROR),
    "a name that is none": (headed(*HEAD, (b"a b", b"1")), "RST_STREAM", Code.PROTOCOL_ERROR),
    "no name": (headed(*HEAD, (b"", b"1")), "RST_STREAM", Code.PROTOCOL_ERROR),
    "a line end": (headed(*HEAD, (b"a", b"1\r\nb: 2")), "RST_STREAM", Code.PROTOCOL_ERROR),
    "a space at the end": (headed(*HEAD, (b"a", b"1 ")), "RST_STREAM", Code.PROTOCOL_ERROR),
    "no path": (headed(*HEAD[:3], *HEAD[4:]), "RST_STREAM", Code.PROTOCOL_ERROR),
    "an empty path": (
        headed(*HEAD[:3], (b":path", b""), *HEAD[4:]), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "two methods": (headed(HEAD[0], *HEAD), "RST_STREAM", Code.PROTOCOL_ERROR),
    "a status": (headed((b":status", b"200"), *HEAD), "RST_STREAM", Code.PROTOCOL_ERROR),
    "a path after headers": (
        headed(*HEAD[:3], *HEAD[4:], HEAD[3]), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "a header of HTTP/1.1": (
        headed(*HEAD, (b"connection", b"close")), "RST_STREAM", Code.PROTOCOL_ERROR
    ),
    "another te": (headed(*HEAD[:-1], (b"te", b"gzip")), "RST_STREAM", Code.PROTOCOL_ERROR),
}  # fmt: skip
WRONG |= {name: ([GREETING, data], kind, code) for name, (data, kind, code) in RIGHT_THEN.items()}


@pytest.mark.parametrize(("parts", "kind", "code"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_by_its_code(
    place: Place, parts: list[bytes], kind: str, code: Code
) -> None:
    wire = place.connected()
    wire.send(*parts)
    assert wire.ending() == (kind, code)
    assert wire.transport.closed == (kind == "GOAWAY")
    if kind == "RST_STREAM":  # others go on
        wire.send(frame(HEADERS, END_HEADERS, 7, BLOCK), frame(DATA, END_STREAM, 7, framed(b"x")))
        assert wire.frames()[1].payload == framed(b"x")


def test_a_body_that_goes_on_after_its_end_ends_its_stream() -> None:
    wire = Place(later=True).connected().send(GREETING, ASKED)
    wire.take()
    wire.send(frame(DATA, 0, 1, b"more"))
    assert wire.ending() == ("RST_STREAM", Code.STREAM_CLOSED)
    assert wire.place.calls[0][0].has_left()


pieces = st.sampled_from([*(data for data, _, _ in RIGHT_THEN.values() if len(data) < 2000), ASKED])


@settings(max_examples=300)
@given(st.lists(pieces | st.binary(max_size=40), max_size=8), st.booleans())
def test_nothing_that_is_sent_is_an_error_of_ours(parts: list[bytes], greeted: bool) -> None:
    place = Place()
    other = place.connected().send(GREETING)
    wire = place.connected().send(*([GREETING] if greeted else []), *parts)
    assert wire.ending() != ("GOAWAY", Code.INTERNAL_ERROR)
    other.take()
    other.send(ASKED)
    assert other.frames()[1].payload == framed(b"hello")


# -- floods

FLOODS: dict[str, Callable[[int], bytes]] = {
    "pings": lambda at: frame(PING, payload=bytes(8)),
    "settings": lambda at: frame(SETTINGS),
    "empty data": lambda at: opened() if not at else frame(DATA, 0, 1),
    "priorities": lambda at: frame(PRIORITY, 0, 1, bytes(5)),
    "unknown frames": lambda at: frame(0xEE),
    "tiny windows": lambda at: window_update(0, 1),
    "streams taken back": lambda at: (
        opened(2 * at + 1) + frame(RST_STREAM, 0, 2 * at + 1, bytes(4))
    ),
    "streams that we must end": lambda at: opened(2 * at + 1) + window_update(2 * at + 1, 0),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_ends_the_connection(wire: Wire, flood: Callable[[int], bytes]) -> None:
    for at in range(3000):
        wire.send(flood(at))
    assert wire.ending() == ("GOAWAY", Code.ENHANCE_YOUR_CALM)


def test_pings_between_answers_are_no_flood(wire: Wire) -> None:
    for at in range(3000):
        body = frame(DATA, END_STREAM, 2 * at + 1, framed(b"x"))
        wire.send(opened(2 * at + 1), body, frame(PING, payload=bytes(8)))
    assert not wire.transport.closed


def test_more_streams_than_were_offered_are_refused(wire: Wire) -> None:
    for at in range(1025):
        wire.send(opened(2 * at + 1))
    assert wire.ending() == ("RST_STREAM", Code.REFUSED_STREAM)
    wire.send(frame(RST_STREAM, 0, 1, bytes(4)), opened(3001))
    assert wire.ending() == ("nothing", -1)


def test_more_connections_than_there_may_be_are_turned_away() -> None:
    place = Place(limits={"connections": 1})
    first, second = place.connected(), place.connected()
    assert second.ending() == ("GOAWAY", Code.ENHANCE_YOUR_CALM)
    second.connection.connection_lost(None)
    first.connection.connection_lost(None)
    assert place.connected().ending() == ("nothing", -1)


@pytest.mark.parametrize(
    ("alpn", "ending"),
    [("h2", ("nothing", -1)), ("http/1.1", ("GOAWAY", Code.PROTOCOL_ERROR))],
)
def test_a_client_over_tls_must_ask_for_http2(
    place: Place, alpn: str, ending: tuple[str, int]
) -> None:
    assert place.connected(alpn).ending() == ending


# -- windows


def test_a_large_answer_waits_for_both_windows(place: Place) -> None:
    wire = place.connected().send(GREETING)
    wire.take()
    body = framed(b"x" * 100_000)
    wire.send(opened())
    for at in range(0, len(body), LARGEST):
        wire.send(frame(DATA, 0, 1, body[at : at + LARGEST]))
    wire.send(frame(DATA, END_STREAM, 1))
    assert sum(len(one.payload) for one in wire.frames() if one.kind == DATA) == 65_535
    wire.send(window_update(1, 50_000))
    assert not wire.frames()
    wire.send(window_update(0, 10_000))
    assert sum(len(one.payload) for one in wire.frames()) == 10_000
    wire.send(window_update(0, 50_000))
    *parts, ending = wire.frames()
    assert sum(len(one.payload) for one in parts) == len(body) - 75_535
    assert ending.flags == WHOLE


def test_settings_change_the_windows_of_open_streams(place: Place) -> None:
    wire = place.connected().send(GREETING, settings_frame((4, 5)), ASKED)
    assert wire.frames()[-1].payload == framed(b"hello")[:5]
    wire.send(settings_frame((4, 2)))  # three less than nothing
    wire.send(window_update(1, 3))
    assert [one.kind for one in wire.frames()] == [SETTINGS]
    wire.send(settings_frame((4, 100)))
    assert wire.frames()[1].payload == framed(b"hello")[5:]


def test_answers_take_turns(place: Place) -> None:
    place.later = True
    wire = place.connected().send(GREETING, settings_frame((4, 1_000_000)))
    for number in (1, 3):
        wire.send(opened(number), frame(DATA, END_STREAM, number, b""))
    wire.take()
    for stream, _ in place.calls:
        stream.answer(b"x" * 100_000, b"")
    wire.send(window_update(0, 100_000))
    order = [one.stream for one in wire.frames() if one.kind == DATA]
    assert order[4:8] in ([1, 3, 1, 3], [3, 1, 3, 1])


def test_what_is_read_is_granted_again(wire: Wire) -> None:
    wire.send(opened())
    for _ in range(40):
        wire.send(frame(DATA, 0, 1, bytes(LARGEST)))
    granted = [one for one in wire.frames() if one.kind == WINDOW_UPDATE]
    assert [one.stream for one in granted] == [1]
    assert int.from_bytes(granted[0].payload) >= 512 * 1024


def test_a_client_must_keep_to_its_window() -> None:
    wire = Place(limits={"message": 10**9, "unfinished": 10**9}).connected()
    wire.send(GREETING, opened())
    wire.take()
    stream = wire.connection._session._streams[1]
    stream.inbound._left = 10
    wire.send(frame(DATA, 0, 1, bytes(11)))
    assert wire.ending() == ("RST_STREAM", Code.FLOW_CONTROL_ERROR)
    wire.connection._session._inbound._left = 10
    wire.send(opened(3), frame(DATA, 0, 3, bytes(11)))
    assert wire.ending() == ("GOAWAY", Code.FLOW_CONTROL_ERROR)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=4), st.integers(600, 70_000))
def test_whatever_the_windows_the_answers_arrive_whole(sizes: list[int], window: int) -> None:
    client = Client(Place(later=True).connected())
    client.h2.update_settings({4: window})
    client.ask(*(b"" for _ in sizes))
    found = client.events()
    for (stream, _), size in zip(client.wire.place.calls, sizes, strict=True):
        stream.answer(b"x" * size, b"")
    while more := client.events():
        found += more
        for event in more:
            if size := getattr(event, "flow_controlled_length", 0):
                client.h2.acknowledge_received_data(size, event.stream_id)
    told = by_stream(found)
    assert [len(told[2 * at + 1].data) - 5 for at in range(len(sizes))] == sizes
    assert all(told[2 * at + 1].ended for at in range(len(sizes)))


# -- size, patience, leaving


def test_a_body_that_is_too_large_is_refused_before_it_is_whole(wire: Wire) -> None:
    wire.send(opened())
    for _ in range(LIMIT // LARGEST + 2):
        wire.send(frame(DATA, 0, 1, bytes(LARGEST)))
    found = wire.frames()
    (told,) = [one for one in found if one.kind == HEADERS]
    assert b"grpc-status\x018" in told.payload
    assert found[-1].kind == RST_STREAM or found[-2].kind == RST_STREAM
    assert wire.place.house.held == 0
    wire.send(frame(DATA, END_STREAM, 1, b"still under way"), opened(3))
    assert wire.ending() == ("nothing", -1)


def test_bodies_that_are_not_whole_share_their_room() -> None:
    place = Place(limits={"unfinished": 10_000})
    wires = [place.connected().send(GREETING, opened()) for _ in range(2)]
    for wire in wires:
        wire.take()
        wire.send(frame(DATA, 0, 1, bytes(6000)))
    assert not wires[0].frames()
    assert b"grpc-status\x018" in wires[1].frames()[0].payload
    wires[0].connection.connection_lost(None)
    assert place.house.held == 0


def test_a_body_that_nobody_will_look_at_is_not_kept(wire: Wire) -> None:
    other = [(name, b"/other" if name == b":path" else value) for name, value in HEAD]
    wire.send(frame(HEADERS, END_HEADERS, 1, fields(other)), frame(DATA, 0, 1, bytes(5000)))
    assert wire.place.house.held == 0
    wire.send(frame(DATA, END_STREAM, 1, bytes(5000)))
    ((_, body),) = wire.place.calls
    assert len(body) == 5000  # the last part, which was not stored


def slow_preface(place: Place) -> Wire:
    return place.connected().send(PREFACE[:5])


def slow_frame(place: Place) -> Wire:
    return place.connected().send(GREETING, ASKED[:12])


def slow_block(place: Place) -> Wire:
    return place.connected().send(GREETING, frame(HEADERS, 0, 1, BLOCK))


@pytest.mark.parametrize("begin", [slow_preface, slow_frame, slow_block])
def test_what_does_not_arrive_in_time_ends_the_connection(
    place: Place, begin: Callable[[Place], Wire]
) -> None:
    wire = begin(place)
    place.now = 19.0
    wire.send(b"")
    wire.connection.look(place.now)
    assert not wire.transport.closed
    place.now = 21.0
    wire.connection.look(place.now)
    assert wire.ending() == ("GOAWAY", Code.ENHANCE_YOUR_CALM)


def test_a_body_that_is_slow_misses_its_deadline(wire: Wire) -> None:
    wire.send(opened(), frame(DATA, 0, 1, b"x"))
    wire.place.now = 21.0
    wire.connection.look(21.0)
    head, reset = wire.frames()
    assert b"grpc-status\x014" in head.payload
    assert reset.kind == RST_STREAM


def test_an_idle_connection_is_closed_and_one_at_work_is_not(place: Place) -> None:
    place.later = True
    idle, works = (place.connected().send(GREETING) for _ in range(2))
    works.send(ASKED)
    place.now = 80.0
    for wire in (idle, works):
        wire.connection.look(place.now)
    idle.send(frame(PING, ACK, payload=idle.frames()[-1].payload))
    assert idle.ending() == ("GOAWAY", Code.NO_ERROR)
    assert idle.transport.closed
    assert not works.transport.closed


def test_a_client_that_does_not_read_is_not_read_and_then_left(wire: Wire) -> None:
    wire.connection.pause_writing()
    assert wire.transport.reading_paused
    wire.connection.look(19.0)
    wire.connection.resume_writing()
    assert not wire.transport.reading_paused
    wire.connection.pause_writing()
    wire.connection.look(21.0)
    assert wire.transport.aborted


def test_answers_wait_for_a_client_that_does_not_read(place: Place) -> None:
    place.later = True
    wire = place.connected().send(GREETING, ASKED)
    wire.connection.pause_writing()
    wire.take()
    place.calls[0][0].answer(b"x" * 10_000, b"")
    assert [one.kind for one in wire.frames()] == [HEADERS]
    wire.connection.resume_writing()
    assert wire.frames()[0].payload == framed(b"x" * 10_000)


def test_an_answer_that_nobody_makes_room_for_is_given_up(place: Place) -> None:
    wire = place.connected().send(GREETING, settings_frame((4, 0)), ASKED)
    wire.take()
    wire.connection.look(19.0)
    assert not wire.frames()
    wire.connection.look(21.0)
    assert wire.ending() == ("RST_STREAM", Code.CANCEL)


@pytest.mark.parametrize("how", ["reset", "lost"])
def test_a_client_that_leaves_is_not_answered(how: str) -> None:
    wire = Place(later=True).connected().send(GREETING, ASKED)
    (stream, body) = wire.place.calls[0]
    assert not stream.has_left()
    if how == "reset":
        wire.send(frame(RST_STREAM, 0, 1, bytes(4)))
    else:
        wire.connection.connection_lost(None)
    wire.take()
    assert stream.has_left()
    answer(stream, body)
    assert not wire.take()


def test_a_server_that_ends_finishes_what_came_before_the_client_knew(place: Place) -> None:
    place.later = True
    wire = place.connected().send(GREETING, ASKED)
    wire.take()
    wire.connection.leave()
    farewell, ping = wire.frames()
    assert (farewell.kind, int.from_bytes(farewell.payload[:4])) == (GOAWAY, MOST)
    wire.send(opened(3), frame(DATA, END_STREAM, 3, framed(b"late")))
    wire.send(frame(PING, ACK, payload=ping.payload))
    (last,) = wire.frames()
    assert (last.kind, int.from_bytes(last.payload[:4])) == (GOAWAY, 3)
    wire.send(opened(5), frame(DATA, END_STREAM, 5, framed(b"too late")))
    assert len(place.calls) == 2
    for stream, body in place.calls:
        answer(stream, body)
    answers = [one.payload for one in wire.frames() if one.kind == DATA]
    assert answers == [framed(b"hello"), framed(b"late")]
    assert wire.transport.closed


def test_a_client_that_says_nothing_to_a_farewell_is_left_after_a_second(wire: Wire) -> None:
    wire.connection.leave()
    wire.connection.look(0.5)
    assert not wire.transport.closed
    wire.connection.look(1.5)
    assert wire.transport.closed


def test_a_client_that_goes_gets_its_answers(place: Place) -> None:
    place.later = True
    wire = place.connected().send(GREETING, ASKED, frame(GOAWAY, payload=bytes(8)))
    wire.take()
    answer(*place.calls[0])
    assert wire.frames()[1].payload == framed(b"hello")
    assert wire.transport.closed
