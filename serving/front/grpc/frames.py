"""Frames of HTTP/2 (RFC 9113, sections 4 and 6), in and out. Pure."""

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST = 16_384
"""Bytes of a frame: what is announced by saying nothing, and what every client takes."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = 1, 2, 3
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

MOST = 2**31 - 1
"""The largest number of a stream, and the largest window."""

_HEAD = struct.Struct("!IBI")  # length and kind share the first four bytes
_SETTING = struct.Struct("!HI")
_NUMBER = struct.Struct("!I")
_HEAD_SIZE = _HEAD.size
_PRIORITY_SIZE = 5


class Code(enum.IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


class ConnectionFault(Exception):
    """The client broke the protocol, and the connection ends."""

    def __init__(self, code: Code, told: str) -> None:
        super().__init__(told)
        self.code = code


class StreamFault(Exception):
    """The client broke the protocol, and the stream ends."""

    def __init__(self, code: Code, told: str) -> None:
        super().__init__(told)
        self.code = code


class Frame(NamedTuple):
    """One frame, as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Reader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def waits(self) -> bool:
        """Whether a frame has begun that is not whole."""
        return bool(self._rest)

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now.

        Raises:
            ConnectionFault: One is too large.
        """
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _HEAD_SIZE:
            size_and_kind, flags, stream = _HEAD.unpack_from(data, at)
            size = size_and_kind >> 8
            if size > LARGEST:
                raise ConnectionFault(
                    Code.FRAME_SIZE_ERROR, f"A frame may have {LARGEST} bytes, not {size}."
                )
            begin = at + _HEAD_SIZE
            if begin + size > end:
                break
            at = begin + size
            yield Frame(size_and_kind & 0xFF, flags, stream & MOST, data[begin:at])
        self._rest = data[at:]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, payload=b"".join(_SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, stream=stream, payload=_NUMBER.pack(more))


def reset(stream: int, code: Code) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, stream=stream, payload=_NUMBER.pack(code))


def goaway(last: int, code: Code, told: str = "") -> bytes:
    """A GOAWAY frame: `last` is the last stream that was looked at."""
    return frame(GOAWAY, payload=_NUMBER.pack(last) + _NUMBER.pack(code) + told.encode())


def unpadded(frame: Frame) -> bytes:
    """What a DATA or HEADERS frame carries, without its padding and its priority.

    Raises:
        ConnectionFault: It is shorter than what it says of itself.
    """
    payload, begin, padding = frame.payload, 0, 0
    if frame.flags & PADDED:
        begin, padding = 1, payload[0] if payload else 1
    if frame.kind == HEADERS and frame.flags & WITH_PRIORITY:
        begin += _PRIORITY_SIZE
    end = len(payload) - padding
    if begin > len(payload):
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A frame is too short for its flags.")
    if end < begin:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "A frame is all padding, and more.")
    return payload[begin:end]


def read_settings(frame: Frame) -> dict[int, int]:
    """What a SETTINGS frame sets.

    Raises:
        ConnectionFault: It sets what cannot be.
    """
    if len(frame.payload) % _SETTING.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS are six bytes each.")
    found: dict[int, int] = dict(_SETTING.iter_unpack(frame.payload))
    if found.get(ENABLE_PUSH, 0) > 1:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1.")
    if found.get(INITIAL_WINDOW_SIZE, 0) > MOST:
        raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"A window has {MOST} bytes at most.")
    if not LARGEST <= found.get(MAX_FRAME_SIZE, LARGEST) < 2**24:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is 2^14 to 2^24-1.")
    return found


def read_number(frame: Frame) -> int:
    """The only thing that a WINDOW_UPDATE or RST_STREAM frame says.

    Raises:
        ConnectionFault: It has another size.
    """
    if len(frame.payload) != _NUMBER.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A number has four bytes.")
    number: int = _NUMBER.unpack(frame.payload)[0]
    return number


def unary(stream: int, opening: bytes, data: bytes, closing: bytes) -> bytes:
    """A whole answer: headers, one frame of data, headers."""
    return b"".join((
        _HEAD.pack(len(opening) << 8 | HEADERS, END_HEADERS, stream), opening,
        _HEAD.pack(len(data) << 8 | DATA, 0, stream), data,
        _HEAD.pack(len(closing) << 8 | HEADERS, END_HEADERS | END_STREAM, stream), closing,
    ))  # fmt: skip
