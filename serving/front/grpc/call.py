"""What a call asks, by its headers and its message; and how it is answered. Pure.

After the specification of gRPC over HTTP/2, and RFC 9113, section 8.
"""

import enum
import math
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from cloche.serving.front.grpc import headers as blocks
from cloche.serving.front.grpc.frames import Code, StreamFault
from cloche.serving.front.head import Head
from cloche.serving.front.web import HeaderList, Scope

PREFIX = struct.Struct("!BI")
"""What stands before a message: whether it is packed, and its length."""

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]\Z")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_OF_CONNECTIONS = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
_TO_ENCODE = re.compile(rb"[^\x20-\x24\x26-\x7e]")
_LONGEST_TOLD = 2048  # clients take 8 KiB of headers, and a byte may become three

_TYPE = b"application/grpc"
_TAKEN = (b"grpc-accept-encoding", b"identity,deflate,gzip")


class Status(enum.IntEnum):
    """How a call ended."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Refusal(NamedTuple):
    """Why a call is not answered. What is told is shown to the client."""

    status: Status
    told: str
    http_status: int = 200


class Refused(Exception):
    """A call is not answered."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.told)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Call:
    """The head of a call.

    Attributes:
        path: The method, with its service.
        scope: The same as ASGI would say it.
        head: What else is wanted of the headers.
        length: Of the body, where it is said; else -1.
        timeout: Seconds that the client waits.
        encoding: Of a message that is packed.
        refused: Why it is not answered, whatever its message.
    """

    path: str
    scope: Scope
    head: Head
    length: int
    timeout: float
    encoding: bytes
    refused: Refusal | None


def read(headers: HeaderList) -> Call:
    """The call that has these headers.

    Raises:
        StreamFault: They are none of a request of HTTP/2.
    """
    special, plain = check(headers)
    if not (special.keys() >= {b":method", b":scheme", b":path"} and special[b":path"]):
        raise StreamFault(Code.PROTOCOL_ERROR, "A request has a method, a scheme and a path.")
    named = dict(plain)
    length = named.get(b"content-length")
    timeout, refused = math.inf, None
    try:
        timeout = _timeout(named.get(b"grpc-timeout"))
        _check_kind(special[b":method"], named)
    except Refused as error:
        refused = error.refusal
    path = special[b":path"].decode("latin-1")
    return Call(
        path=path,
        scope={
            "method": "POST",
            "path": path,
            "headers": plain,
            "scheme": special[b":scheme"].decode("latin-1"),
            "http_version": "2",
        },
        head=Head(plain),
        length=-1 if length is None else int(length),
        timeout=timeout,
        encoding=named.get(b"grpc-encoding", b""),
        refused=refused,
    )


def check(headers: HeaderList) -> tuple[dict[bytes, bytes], HeaderList]:
    """The headers that HTTP/2 itself reads, and the others.

    Raises:
        StreamFault: They may not be sent like this.
    """
    special: dict[bytes, bytes] = {}
    plain: HeaderList = []
    for name, value in headers:
        if not _NAME.fullmatch(name) or _BAD_VALUE.search(value):
            raise StreamFault(Code.PROTOCOL_ERROR, "A header is none.")
        if name.startswith(b":"):
            if plain or name in special or name not in _PSEUDO:
                raise StreamFault(Code.PROTOCOL_ERROR, "A header of HTTP/2 is out of place.")
            special[name] = value
        elif (
            name in _OF_CONNECTIONS
            or (name == b"te" and value != b"trailers")
            or (name == b"content-length" and not _LENGTH.fullmatch(value))
        ):
            raise StreamFault(Code.PROTOCOL_ERROR, "A header is none of HTTP/2.")
        else:
            plain.append((name, value))
    return special, plain


def message(call: Call, body: bytes, limit: int) -> bytes:
    """The only message in a body.

    Raises:
        Refused: There is another number of them, or it is larger than `limit`, or badly packed.
    """
    if len(body) < PREFIX.size:
        raise _not_one()
    packed, size = PREFIX.unpack_from(body)
    if size > limit:
        raise too_large(limit)
    if len(body) != PREFIX.size + size:
        raise _not_one()
    found = body[PREFIX.size :]
    if not packed:
        return found
    if packed != 1:
        raise _internal("A message is packed (1) or not (0).")
    return _unpacked(found, call.encoding, limit)


def too_large(limit: int) -> Refused:
    """How a message of more than `limit` bytes is refused."""
    told = (
        f"A message may have {limit} bytes. Send fewer rows at a time, or start the server with a "
        "larger --max-body."
    )
    return Refused(Refusal(Status.RESOURCE_EXHAUSTED, told))


@lru_cache(64)
def opening(http_status: int = 200) -> bytes:
    """How the headers of an answer begin, encoded."""
    return blocks.opening(((b":status", b"%d" % http_status), (b"content-type", _TYPE), _TAKEN))


def closing(status: Status, told: str = "", metadata: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """How the headers of an answer end, encoded."""
    ending: HeaderList = [(b"grpc-status", b"%d" % status)]
    if told:
        raw = told.encode("utf-8", "replace")[:_LONGEST_TOLD].strip()
        ending.append((b"grpc-message", _TO_ENCODE.sub(_percent, raw)))
    return blocks.fields((*ending, *metadata))


def _percent(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


def _timeout(value: bytes | None) -> float:
    if value is None:
        return math.inf
    found = _TIMEOUT.fullmatch(value)
    if not found:
        raise _internal("The grpc-timeout must be a number of up to eight digits and a unit.")
    return int(found[1]) * _UNITS[found[2]]


def _check_kind(method: bytes, headers: dict[bytes, bytes]) -> None:
    kind = headers.get(b"content-type", b"")
    if method != b"POST":
        raise Refused(Refusal(Status.INTERNAL, "A call is a POST.", http_status=405))
    if not (kind == _TYPE or kind.startswith((_TYPE + b"+", _TYPE + b";"))):
        told = "The content-type must be application/grpc."
        raise Refused(Refusal(Status.INVALID_ARGUMENT, told, http_status=415))


def _unpacked(packed: bytes, encoding: bytes, limit: int) -> bytes:
    if encoding in (b"", b"identity"):
        raise _internal("A message is packed, and grpc-encoding does not say how.")
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        told = "A message may be packed with gzip or deflate."
        raise Refused(Refusal(Status.UNIMPLEMENTED, told))
    stream = zlib.decompressobj(wbits=bits)
    try:
        plain = stream.decompress(packed, limit + 1)
    except zlib.error:
        plain = b""
    if len(plain) > limit:
        raise too_large(limit)
    if not stream.eof or stream.unused_data:
        raise _internal("A message is not packed as grpc-encoding says.")
    return plain


def _not_one() -> Refused:
    told = "A call has exactly one message, of the length it says."
    return Refused(Refusal(Status.UNIMPLEMENTED, told))


def _internal(told: str) -> Refused:
    return Refused(Refusal(Status.INTERNAL, told))
