"""A connection without sockets, and clients of it: raw frames, and the h2 library."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from cloche.serving.front.grpc import call as calls
from cloche.serving.front.grpc import frames
from cloche.serving.front.grpc.call import PREFIX, Call, Refused, Status
from cloche.serving.front.grpc.connection import Connection
from cloche.serving.front.grpc.frames import Frame, Reader
from cloche.serving.front.grpc.house import House
from cloche.serving.front.grpc.stream import Stream

LIMIT = 1_000_000
PATH = "/inference.GRPCInferenceService/ModelInfer"
HEAD = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"x"),
    (b":path", PATH.encode()),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


def framed(message: bytes, *, packed: int = 0, length: int | None = None) -> bytes:
    """A message as gRPC sends it."""
    return PREFIX.pack(packed, len(message) if length is None else length) + message


class Transport:
    """Keeps what is written; encrypted, if a protocol was agreed on by ALPN."""

    def __init__(self, alpn: str | None = None) -> None:
        self._tls = SimpleNamespace(selected_alpn_protocol=lambda: alpn) if alpn else None
        self.written = bytearray()
        self.closed = self.aborted = self.reading_paused = False

    def get_extra_info(self, name: str) -> Any:
        return self._tls if name == "ssl_object" else None

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


@dataclass
class Place:
    """A door whose calls are answered with their own message, at once or when the test says."""

    later: bool = False
    now: float = 0.0
    limits: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[Stream, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = {"message": LIMIT, "unfinished": 4 * LIMIT, "connections": 10, "patience": 20.0}
        self.house = House(
            implements=lambda _: True,
            admits=self.admits,
            serve=self.serve,
            clock=lambda: self.now,
            **(limits | self.limits),
        )

    def admits(self, call: Call) -> bool:
        return call.path == PATH

    def serve(self, stream: Stream, body: bytes) -> None:
        self.calls.append((stream, body))
        if not self.later:
            answer(stream, body)

    def connected(self, alpn: str | None = None) -> "Wire":
        return Wire(self, Transport(alpn))


def answer(stream: Stream, body: bytes) -> None:
    """Answer a call with its message."""
    try:
        message = calls.message(stream.call, body, LIMIT)
    except Refused as error:
        status, told, http_status = error.refusal
        stream.refuse(calls.closing(status, told), http_status)
    else:
        stream.answer(message, calls.closing(Status.OK, "", [(b"x-echo", b"yes")]))


class Wire:
    """One connection to a place, by its bytes."""

    def __init__(self, place: Place, transport: Transport) -> None:
        self.place = place
        self.transport = transport
        self.connection = Connection(place.house)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, *parts: bytes) -> "Wire":
        for part in parts:
            if not self.transport.closed:
                self.connection.data_received(part)
        return self

    def take(self) -> bytes:
        """What the server wrote since the last time."""
        taken = bytes(self.transport.written)
        self.transport.written.clear()
        return taken

    def frames(self) -> list[Frame]:
        """The same, as frames."""
        return list(Reader().frames(self.take()))

    def ending(self) -> tuple[str, int]:
        """How the server said that a stream, or the connection, ends."""
        found = self.frames()
        for frame in found:
            if frame.kind == frames.GOAWAY:
                return "GOAWAY", int.from_bytes(frame.payload[4:8])
        for frame in found:
            if frame.kind == frames.RST_STREAM:
                return "RST_STREAM", int.from_bytes(frame.payload)
        return "nothing", -1


class Client:
    """The h2 library on a wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()

    def ask(self, *bodies: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> list[int]:
        """Queue calls; `flush` sends them."""
        numbers = []
        for body in bodies:
            number = self.h2.get_next_available_stream_id()
            self.h2.send_headers(number, [*HEAD, *headers])
            step = self.h2.max_outbound_frame_size
            for at in range(0, len(body), step):
                self.h2.send_data(number, body[at : at + step])
            self.h2.end_stream(number)
            numbers.append(number)
        return numbers

    def outgoing(self) -> bytes:
        data: bytes = self.h2.data_to_send()
        return data

    def events(self) -> list[Event]:
        """Exchange bytes until both are still."""
        found: list[Event] = []
        while True:
            out = self.outgoing()
            if out:
                self.wire.send(out)
            got = self.wire.take()
            if not got and not out:
                return found
            found += self.h2.receive_data(got)


@dataclass
class Answered:
    """What a client was told on one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None


def by_stream(events: Iterable[Event]) -> dict[int, Answered]:
    """What events mean, by stream; 0 is the connection."""
    found: dict[int, Answered] = {}
    for event in events:
        if isinstance(event, ConnectionTerminated):
            found.setdefault(0, Answered()).reset = event.error_code
        number = getattr(event, "stream_id", None)
        if number is None:
            continue
        one = found.setdefault(number, Answered())
        if isinstance(event, ResponseReceived | TrailersReceived):
            one.headers |= dict(event.headers)
        elif isinstance(event, DataReceived):
            one.data += event.data
        elif isinstance(event, StreamEnded):
            one.ended = True
        elif isinstance(event, StreamReset):
            one.reset = event.error_code
    return found


def ask_over_socket(
    address: tuple[str, int], body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Answered:
    """What any server answers to one call."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    client.send_headers(1, [*HEAD, *headers])
    client.send_data(1, body, end_stream=True)
    events: list[Event] = []
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(client.data_to_send())
        while not any(isinstance(event, StreamEnded | StreamReset) for event in events):
            data = connection.recv(65536)
            assert data, "closed without an answer"
            events += client.receive_data(data)
    return by_stream(events)[1]
