"""The wire format between the front and a model host: length-prefixed frames on a stream socket.

A frame is a kind (1 byte), a payload length (4 bytes) and the payload. Control frames carry JSON.
A `BATCH` carries many request bodies, and its `RESULT` as many answers in the same order, so that
a batch costs one write and one read each way. Integers are big-endian. The format knows nothing of
HTTP beyond status codes and content types, which pass through.
"""

import enum
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

HEADER = struct.Struct("!BI")
MAX_PAYLOAD = 0xFFFF_FFFF

_COUNT = struct.Struct("!I")
_ITEM = struct.Struct("!BHHII")
_STAGED = struct.Struct("!I??IId")  # after the body of an item of a stage or of an arm
_LOGGED = struct.Struct("!QQBBH")  # after the body of an item that is logged
_IS_STAGED, _IS_LOGGED = 0x80, 0x40  # in the length of the protocol's name
_NAME_LENGTH = 0x3F
_OUTCOME = struct.Struct("!IddI")
_ANSWER = struct.Struct("!HBIII")
_LOG_COUNTS = struct.Struct("!4I")  # after the answers, of a host that logs them

JSON_BODY, TEXT_BODY, BINARY_BODY, TABLE_BODY = 0, 1, 2, 3
NOT_FINITE, MODEL_FAILED = 0x80, 0x40  # in the body type of answers to items with `mark_failures`
DIFFERS = 0x20  # in the body type of answers to items with `expected`
ARMS = ("production", "canary", "shadow", "baseline")


class Kind(enum.IntEnum):
    """The kind of a frame: the sender and the meaning of its payload."""

    LOAD = 1  # front: load this version
    READY = 2  # host: the version is loaded and warm; its description
    FAILED = 3  # host: the version cannot be loaded; the reason
    BATCH = 4  # front: score these bodies
    RESULT = 5  # host: the answers to a batch or a check
    TWIN_READY = 6  # host: the twin answers already; READY or FAILED follows at any later time
    CHECK = 7  # front: score the version's own input example again; a RESULT answers


_KINDS = {kind.value: kind for kind in Kind}  # looked up here faster than by the enumeration


class ProtocolError(Exception):
    """A frame is invalid or too long."""


class Expected(NamedTuple):
    """The answer of production to a request that is asked again, to be compared.

    Attributes:
        body: The body in the protocol of the request.
        json_size: The length of the JSON at the start of the body, if binary data follow; else 0.
        tolerance: The relative difference up to which two numbers are equal.
    """

    body: bytes
    json_size: int
    tolerance: float


_NOTHING = Expected(b"", 0, 0.0)


@dataclass(slots=True)
class LogNote:
    """What the prediction log needs to know of a request, and only the front knows.

    Attributes:
        received_at: The time of its arrival, in microseconds since 1970 in UTC.
        prediction_id: The caller's name for its prediction; empty for none.
        arm: The arm that is asked, as a position in `ARMS`.
        attempt: The number of hosts that have received the request, with this one.
        queue_us: The time from its arrival to this host, in microseconds.
        before: The attempts with which the request began, so that fewer are left; only in a front.
    """

    received_at: int
    prediction_id: bytes = b""
    arm: int = 0
    attempt: int = 1
    queue_us: int = 0
    before: int = 0

    def for_arm(self, arm: str, before: int) -> "LogNote":
        """The note of the request as an arm gets it, after `before` attempts that are no hosts'."""
        return LogNote(self.received_at, self.prediction_id, ARMS.index(arm), before=before)


class Item(NamedTuple):
    """One request as the client sent it.

    Attributes:
        content_type: The Content-Type header as sent.
        body: The body, decompressed.
        id: The ID of the request in logs.
        protocol: The name of the protocol, by which the host chooses the codec.
        json_size: The length of the JSON at the start of the body, if binary data follow; else 0.
        table: The rows that the stage before has prepared, as an Arrow stream. If it is empty, the
            rows are in the body.
        as_table: Whether the answer is a table for the next stage, instead of one in the protocol.
        mark_failures: Whether an answer with NaN or infinity is marked as `NOT_FINITE`, and that to
            a failure of the model as `MODEL_FAILED`.
        expected: The answer to compare with, for items with `mark_failures`. The body of the answer
            is not wanted then, but whether it `DIFFERS`.
        log: What the prediction log needs to know; None if the request is not logged.
    """

    content_type: str
    body: bytes
    id: str = ""
    protocol: str = "mlflow"
    json_size: int = 0
    table: bytes = b""
    as_table: bool = False
    mark_failures: bool = False
    expected: Expected | None = None
    log: LogNote | None = None


class LogCounts(NamedTuple):
    """The rows of the prediction log that a host has written or dropped, since it last said so."""

    logged: int = 0
    spool_full: int = 0
    disk_full: int = 0
    error: int = 0


class Answer(NamedTuple):
    """The answer to one request.

    Attributes:
        status: The HTTP status, or the one that HTTP would have.
        body_type: `JSON_BODY`, `TEXT_BODY`, `BINARY_BODY`, or `TABLE_BODY` for the next stage;
            with a mark if the item asks for marks.
        rows: The number of scored rows; 0 if there are none.
        body: The body in the protocol of the request.
        json_size: The length of the JSON at the start of the body, if binary data follow; else 0.
    """

    status: int
    body_type: int
    rows: int
    body: bytes
    json_size: int = 0


class Result(NamedTuple):
    """The answers of a batch.

    Attributes:
        total_seconds: The time that the host spent on the batch.
        predict_seconds: The part of that time spent in the model or its twin.
        accelerated_rows: The number of rows that the accelerated twin answered.
        answers: The answers in the order of the requests.
        logged: The rows of the prediction log; None of a host that does not log.
    """

    total_seconds: float
    predict_seconds: float
    accelerated_rows: int
    answers: list[Answer]
    logged: LogCounts | None = None


def control(kind: Kind, message: dict[str, Any]) -> bytes:
    """A control frame, which carries JSON."""
    payload = json.dumps(message).encode()
    return HEADER.pack(kind, len(payload)) + payload


def batch(items: Sequence[Item]) -> bytes:
    """A `BATCH` frame."""
    parts = [_COUNT.pack(len(items))]
    for (
        content_type,
        body,
        request_id,
        protocol,
        json_size,
        table,
        as_table,
        checked,
        wanted,
        note,
    ) in items:
        spoken, media_type = protocol.encode(), content_type.encode("latin-1", "replace")
        known_as = request_id.encode("latin-1")
        staged = _IS_STAGED if as_table or table or checked else 0
        marks = staged if note is None else staged | _IS_LOGGED
        head = _ITEM.pack(len(spoken) | marks, len(media_type), len(known_as), len(body), json_size)
        parts += (head, spoken, media_type, known_as, body)
        if note is not None:
            named = note.prediction_id
            about = note.received_at, note.queue_us, note.arm, note.attempt, len(named)
            parts += (_LOGGED.pack(*about), named)
        if staged:
            expected = (
                _NOTHING if wanted is None or as_table else wanted
            )  # a stage compares nothing
            sizes = len(expected.body), expected.json_size, expected.tolerance
            parts += (_STAGED.pack(len(table), as_table, checked, *sizes), table, expected.body)
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
    if outcome.logged is not None:
        parts.append(_LOG_COUNTS.pack(*outcome.logged))
    return _framed(Kind.RESULT, parts)


def read_batch(payload: bytes) -> list[Item]:
    """The requests in the payload of a `BATCH` frame."""
    return list(_items(payload))


def read_result(payload: bytes) -> Result:
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
            answers.append(Answer(status, body_type, rows, body, json_size))
            offset += length
        logged = LogCounts(*_LOG_COUNTS.unpack_from(payload, offset)) if payload[offset:] else None
    except struct.error as error:
        raise ProtocolError("A result is cut short.") from error
    return Result(total_seconds, predict_seconds, accelerated, answers, logged)


def _items(payload: bytes) -> Iterator[Item]:
    (count,) = _COUNT.unpack_from(payload)
    offset = _COUNT.size
    for _ in range(count):
        protocol_length, type_length, id_length, body_length, json_size = _ITEM.unpack_from(
            payload, offset
        )
        protocol_at = offset + _ITEM.size
        type_at = protocol_at + (protocol_length & _NAME_LENGTH)
        id_at = type_at + type_length
        body_at = id_at + id_length
        end = body_at + body_length
        note = None
        if protocol_length & _IS_LOGGED:
            received_at, queue_us, arm, attempt, length = _LOGGED.unpack_from(payload, end)
            named_at = end + _LOGGED.size
            end = named_at + length
            note = LogNote(received_at, payload[named_at:end], arm, attempt, queue_us)
        item = Item(
            payload[type_at:id_at].decode("latin-1"), payload[body_at:body_at + body_length],
            payload[id_at:body_at].decode("latin-1"), payload[protocol_at:type_at].decode("ascii"),
            json_size, log=note,
        )  # fmt: skip
        if protocol_length & _IS_STAGED:
            length, as_table, checked, expected, *known = _STAGED.unpack_from(payload, end)
            table_at = end + _STAGED.size
            table_end = table_at + length
            end = table_end + expected
            item = item._replace(
                table=payload[table_at:table_end], as_table=as_table, mark_failures=checked,
                expected=Expected(payload[table_end:end], *known) if expected else None,
            )  # fmt: skip
        yield item
        offset = end


def _framed(kind: Kind, parts: list[bytes]) -> bytes:
    length = sum(map(len, parts))
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"A frame of {length} bytes is longer than {MAX_PAYLOAD}.")
    return b"".join([HEADER.pack(kind, length), *parts])


class FrameReader:
    """Splits a stream of bytes into frames, in whatever pieces the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that `data` completes.

        Raises:
            ProtocolError: The kind of a frame is unknown.
        """
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            code, length = HEADER.unpack_from(self._buffer)
            if (kind := _KINDS.get(code)) is None:
                raise ProtocolError(f"{code} is no kind of frame.")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, payload
