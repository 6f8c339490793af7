"""The wire format between the front and a model host.

Length-prefixed frames over one stream socket.

A frame is a kind (1 byte), a payload length (4 bytes) and the payload. Control frames carry JSON.
A `BATCH` carries many request bodies, and its `RESULT` as many answers in the same order, so that
a batch costs one write and one read each way. Integers are big-endian. Knows nothing of HTTP
beyond status codes and content types, which pass through.
"""

import enum
import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

HEADER = struct.Struct("!BI")
MAX_PAYLOAD = 0xFFFF_FFFF

_COUNT = struct.Struct("!I")
_ITEM = struct.Struct("!BHHII")
_OUTCOME = struct.Struct("!IddI")
_ANSWER = struct.Struct("!HBIII")

JSON_BODY, TEXT_BODY, BINARY_BODY = 0, 1, 2


class Kind(enum.IntEnum):
    """What a frame says."""

    LOAD = 1  # front: load this version
    READY = 2  # host: it is loaded and warm, and this is what it takes
    FAILED = 3  # host: it cannot be loaded, for this reason
    BATCH = 4  # front: score these bodies
    RESULT = 5  # host: their answers
    EARLY = 6  # host: its twin answers already; READY or FAILED follows, whenever that may be
    CHECK = 7  # front: score the version's own input example again; a RESULT answers


class Door(enum.IntEnum):
    """In which protocol a request was asked, and is answered."""

    MLFLOW = 0  # MLflow's scoring protocol
    V2 = 1  # the Open Inference Protocol, over HTTP
    GRPC = 2  # the same, over gRPC
    V1 = 3  # TensorFlow Serving's REST API, which KServe calls V1
    TORCHSERVE = 4


_DOORS = tuple(Door)  # the constructor of an enum takes longer than the rest of an item


class ProtocolError(Exception):
    """The other side sent something that is not a frame."""


class Item(NamedTuple):
    """One request as the client sent it.

    Attributes:
        content_type: As sent.
        body: As sent, unpacked.
        id: By which the logs know it.
        door: In which protocol it is to be read.
        json_size: Length of the JSON that the body begins with, where bytes follow it; else 0.
    """

    content_type: str
    body: bytes
    id: str = ""
    door: Door = Door.MLFLOW
    json_size: int = 0


class Answer(NamedTuple):
    """One answer.

    Attributes:
        status: The HTTP status that it has, or would have.
        body_type: `JSON_BODY`, `TEXT_BODY` or `BINARY_BODY`.
        rows: How many were scored; 0 where nothing was.
        body: In the form of the door that it was asked at.
        json_size: Length of the JSON that the body begins with, where bytes follow it; else 0.
    """

    status: int
    body_type: int
    rows: int
    body: bytes
    json_size: int = 0


class Result(NamedTuple):
    """The answers of a batch.

    Attributes:
        total_seconds: Of the whole batch in the host.
        predict_seconds: Of those, the ones spent in the model or its twin.
        accelerated_rows: Rows that the accelerated twin answered.
        answers: In the order of the requests.
    """

    total_seconds: float
    predict_seconds: float
    accelerated_rows: int
    answers: list[Answer]


def control(kind: Kind, message: dict[str, Any]) -> bytes:
    """A frame that carries JSON."""
    payload = json.dumps(message).encode()
    return HEADER.pack(kind, len(payload)) + payload


def batch(items: Sequence[Item]) -> bytes:
    """A `BATCH` frame."""
    parts = [_COUNT.pack(len(items))]
    for content_type, body, request_id, door, json_size in items:
        name, known_as = content_type.encode("latin-1", "replace"), request_id.encode("latin-1")
        head = _ITEM.pack(door, len(name), len(known_as), len(body), json_size)
        parts += (head, name, known_as, body)
    return _framed(Kind.BATCH, parts)


def result(outcome: Result) -> bytes:
    """A `RESULT` frame."""
    parts = [
        _OUTCOME.pack(
            len(outcome.answers),
            outcome.total_seconds,
            outcome.predict_seconds,
            outcome.accelerated_rows,
        )
    ]
    for status, body_type, rows, body, json_size in outcome.answers:
        parts += (_ANSWER.pack(status, body_type, rows, len(body), json_size), body)
    return _framed(Kind.RESULT, parts)


def read_batch(payload: memoryview) -> list[Item]:
    """The requests in the payload of a `BATCH` frame."""
    return list(_items(payload))


def read_result(payload: memoryview) -> Result:
    """The answers in the payload of a `RESULT` frame."""
    try:
        count, total_seconds, predict_seconds, accelerated = _OUTCOME.unpack_from(payload)
        offset = _OUTCOME.size
        answers = []
        for _ in range(count):
            status, body_type, rows, length, json_size = _ANSWER.unpack_from(payload, offset)
            offset += _ANSWER.size
            body = payload[offset : offset + length]
            if len(body) != length:
                raise ProtocolError("An answer is cut short.")
            answers.append(Answer(status, body_type, rows, bytes(body), json_size))
            offset += length
    except struct.error as error:
        raise ProtocolError("A result is cut short.") from error
    return Result(total_seconds, predict_seconds, accelerated, answers)


def _items(payload: memoryview) -> Iterator[Item]:
    (count,) = _COUNT.unpack_from(payload)
    offset = _COUNT.size
    for _ in range(count):
        door, name_length, id_length, body_length, json_size = _ITEM.unpack_from(payload, offset)
        name_end = offset + _ITEM.size + name_length
        id_end = name_end + id_length
        end = id_end + body_length
        name = str(payload[name_end - name_length : name_end], "latin-1")
        request_id = str(payload[name_end:id_end], "latin-1")
        yield Item(name, bytes(payload[id_end:end]), request_id, _DOORS[door], json_size)
        offset = end


def _framed(kind: Kind, parts: list[bytes]) -> bytes:
    length = sum(map(len, parts))
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"A frame of {length} bytes is longer than {MAX_PAYLOAD}.")
    return b"".join([HEADER.pack(kind, length), *parts])


class FrameReader:
    """Cuts a stream of bytes into frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, memoryview]]:
        """The frames that `data` completes.

        Raises:
            ProtocolError: The stream does not hold a frame.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            code, length = HEADER.unpack_from(self._buffer)
            try:
                kind = Kind(code)
            except ValueError as error:
                raise ProtocolError(f"{code} is no kind of frame.") from error
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = memoryview(bytes(self._buffer[HEADER.size : end]))
            del self._buffer[:end]
            yield kind, payload
