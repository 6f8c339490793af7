"""What a client can send to keep a server of gRPC busy: floods of frames on one connection.

`python -m tests.lifecycle.floods FLOOD PORT SECONDS KEY` sends one.
"""

import gzip
import itertools
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

INFER = "/inference.GRPCInferenceService/ModelInfer"
MAX_BODY = 1_000_000
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CHUNK = 65536


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header that enters no table (RFC 7541, section 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(key: str, *more: bytes) -> bytes:
    """The header block of a call."""
    named = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", INFER.encode()),
             (b":authority", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
             (b"authorization", b"Bearer " + key.encode())]  # fmt: skip
    return b"".join(itertools.starmap(field, named)) + b"".join(more)


def opened(stream: int, block: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, block)


def streams() -> Iterator[int]:
    return itertools.count(1, 2)


def repeated(data: bytes) -> Iterator[bytes]:
    return itertools.repeat(data * (CHUNK // len(data) + 1))


def indexed_fields(key: str) -> Iterator[bytes]:
    """A header of 4,000 bytes enters the table, and is then named a million times by one byte."""
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000
    for stream in streams():
        yield opened(stream, head(key) + entry, 0)
        for _ in range(64):
            yield frame(CONTINUATION, 0, stream, b"\xbe" * 16384)
        yield frame(CONTINUATION, END_HEADERS, stream)


def unlimited_fields(key: str) -> Iterator[bytes]:
    """The same, while the server has no ACK of its settings, and so limits headers to 16 MiB."""
    return indexed_fields(key)


def long_blocks(key: str) -> Iterator[bytes]:
    """Calls with 1,400 headers, each of them one byte."""
    return blocks(key, 1400)


def short_blocks(key: str) -> Iterator[bytes]:
    """Calls with 150 headers, which servers take."""
    return blocks(key, 150)


def blocks(key: str, count: int) -> Iterator[bytes]:
    block = head(key, b"\x8f" * count)
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    for stream in streams():
        yield opened(stream, parts[0], END_STREAM | (END_HEADERS if len(parts) == 1 else 0))
        for part in parts[1:-1]:
            yield frame(CONTINUATION, 0, stream, part)
        if len(parts) > 1:
            yield frame(CONTINUATION, END_HEADERS, stream, parts[-1])


def unlimited_blocks(key: str) -> Iterator[bytes]:
    """Calls with 20,000 headers, which grpcio takes as long as it has no ACK of its settings."""
    return blocks(key, 20_000)


def window_updates(_: str) -> Iterator[bytes]:
    return repeated(frame(WINDOW_UPDATE, 0, 0, (256).to_bytes(4, "big")))


def pings(_: str) -> Iterator[bytes]:
    return repeated(frame(PING, payload=bytes(8)))


def settings(_: str) -> Iterator[bytes]:
    return repeated(frame(SETTINGS))


def rapid_reset(key: str) -> Iterator[bytes]:
    block = head(key)
    for stream in streams():
        yield opened(stream, block) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")


def endless_headers(key: str) -> Iterator[bytes]:
    yield opened(1, head(key), 0)
    yield from repeated(frame(CONTINUATION, 0, 1, field(b"a", b"x" * 100) * 150))


def single_bytes(key: str) -> Iterator[bytes]:
    yield opened(1, head(key)) + frame(DATA, 0, 1, b"\0" + MAX_BODY.to_bytes(4, "big"))
    yield from repeated(frame(DATA, 0, 1, b"x"))


def empty_data(key: str) -> Iterator[bytes]:
    yield opened(1, head(key))
    yield from repeated(frame(DATA, 0, 1))


def many_streams(key: str) -> Iterator[bytes]:
    """Calls that are begun and not ended."""
    block = head(key)
    for stream in itertools.islice(streams(), 10_000):
        yield opened(stream, block)
    while True:
        time.sleep(0.01)
        yield b""


def bombs(key: str) -> Iterator[bytes]:
    """Messages of some kilobytes that are 50 MB when they are unpacked."""
    packed = gzip.compress(bytes(50_000_000))
    body = b"\1" + len(packed).to_bytes(4, "big") + packed
    block = head(key, field(b"grpc-encoding", b"gzip"))
    for stream in streams():
        parts = [body[at : at + 16384] for at in range(0, len(body), 16384)]
        yield opened(stream, block) + b"".join(frame(DATA, 0, stream, part) for part in parts)
        yield frame(DATA, END_STREAM, stream)


def no_such_path(key: str) -> Iterator[bytes]:
    """Methods whose names are no text."""
    block = field(b":path", b"/\xff\xfe") + head(key).replace(field(b":path", INFER.encode()), b"")
    for stream in streams():
        yield opened(stream, block, END_STREAM | END_HEADERS)


FLOODS: dict[str, Callable[[str], Iterator[bytes]]] = {
    flood.__name__: flood
    for flood in (
        indexed_fields, long_blocks, short_blocks, unlimited_fields, unlimited_blocks,
        window_updates, pings, settings, rapid_reset, endless_headers, single_bytes, empty_data,
        many_streams, bombs, no_such_path,
    )
}  # fmt: skip
UNACKNOWLEDGED = {"unlimited_fields", "unlimited_blocks"}
"""Floods of clients that do not acknowledge the server's settings, which it then does not hold."""
KEYLESS = {"window_updates", "pings", "settings"}
"""Floods that have no headers, and so no place for a key."""


@dataclass
class Sent:
    """What was sent of a flood: on how many connections, and how many bytes."""

    connections: int = 0
    size: int = 0


def send(flood: str, port: int, seconds: float, key: str) -> Sent:
    """Send a flood, on one connection at a time, and read what comes back."""
    sent, end = Sent(), time.monotonic() + seconds
    while time.monotonic() < end:
        parts = FLOODS[flood](key)
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                sent.connections += 1
                client.sendall(GREETING + frame(SETTINGS))
                client.recv(CHUNK)  # the server's settings
                if flood not in UNACKNOWLEDGED:
                    client.sendall(frame(SETTINGS, ACK))
                client.setblocking(False)
                _pour(client, parts, end, sent)
        except OSError:
            time.sleep(0.01)  # the server closed it
    return sent


def _pour(client: socket.socket, parts: Iterator[bytes], end: float, sent: Sent) -> None:
    rest = b""
    while time.monotonic() < end:
        while len(rest) < CHUNK and (part := next(parts)):
            rest += part
        readable, writable, _ = select.select([client], [client] if rest else [], [], 0.1)
        if readable and not client.recv(CHUNK):
            return
        if writable:
            count = client.send(rest)
            sent.size += count
            rest = rest[count:]


if __name__ == "__main__":
    name, number, length, own = sys.argv[1:]
    sent = send(name, int(number), float(length), own)
    print(f"{sent.connections} connections, {sent.size / 2**20:.1f} MiB")  # noqa: T201
