"""One client's connection: what it sends becomes calls, and what it breaks ends it (RFC 9113)."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

from serving.front.grpc import call as calls
from serving.front.grpc import frames
from serving.front.grpc.call import Call, Refusal, Status
from serving.front.grpc.frames import MOST, Code, ConnectionFault, Frame, StreamFault
from serving.front.grpc.headers import LIST_LIMIT, Blocks
from serving.front.grpc.house import House
from serving.front.grpc.outgoing import Outgoing
from serving.front.grpc.ration import Ration
from serving.front.grpc.stream import Stream
from serving.front.grpc.windows import Inbound, Outbound, WindowOverrun

_STREAMS = 1024
_WINDOW = 1024 * 1024
_WINDOW_OF_ALL = 16 * 1024 * 1024
_FIRST_WINDOW = 65_535
_CONTINUATIONS = 64
_SMALL_STEP = 256  # of a window: smaller ones cost more than they carry
_KEEP_ALIVE_SECONDS = 75.0
_FAREWELL_SECONDS = 1.0
_FAREWELL = b"farewell"
_REMEMBERED = 1024
_GREETING = frames.settings({
    frames.MAX_CONCURRENT_STREAMS: _STREAMS,
    frames.INITIAL_WINDOW_SIZE: _WINDOW,
    frames.MAX_HEADER_LIST_SIZE: LIST_LIMIT,
}) + frames.window_update(0, _WINDOW_OF_ALL - _FIRST_WINDOW)  # fmt: skip
_logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """Speaks HTTP/2 to a client of gRPC."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._clock = house.clock
        now = self._clock()
        self._reader = frames.Reader()
        self._greeting = b""  # what came of the client's preface
        self._greeted = self._set = False  # whether preface and first SETTINGS came
        self._blocks: Blocks[Call] = Blocks(calls.read)
        self._block: _Block | None = None
        self._streams: dict[int, Stream] = {}
        self._ended_here: dict[int, None] = {}  # the client may not know yet that they are over
        self._last = 0  # the highest stream that was begun
        self._inbound = Inbound(_WINDOW_OF_ALL)
        self._first_window = _FIRST_WINDOW
        self._ration = Ration(now)
        self._heard = now
        self._begun: float | None = now  # when what is not whole yet began
        self._deaf_since: float | None = None
        self._leaving_since: float | None = None
        self._last_taken: int | None = None  # once no more streams are taken
        self._over_since: float | None = None

    # -- of asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet the client, if there is room for it."""
        self._transport = transport
        self._out = Outgoing(transport, self._answered, self._clock)
        room = self._house.enter(self)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._over_since = self._clock()
            transport.close()
            return
        transport.write(_GREETING)
        if not room:
            self._end(Code.ENHANCE_YOUR_CALM, "There are too many connections.")

    def connection_lost(self, _: Exception | None) -> None:
        """Let whoever works for the client know that it left."""
        self._house.leave(self)
        self._over_since = self._over_since or self._clock()
        for stream in list(self._streams.values()):
            self._forget(stream)

    def pause_writing(self) -> None:
        """Hear no more from a client that does not listen."""
        self._out.paused = True
        self._deaf_since = self._clock()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._out.paused = False
        self._deaf_since = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._out.pump()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._over_since is not None:
            return
        self._heard = self._clock()
        try:
            if not self._greeted:
                data = self._greet(data)
            whole = False
            for frame in self._reader.frames(data):
                whole = True
                self._take(frame)
                if self._transport.is_closing():
                    return
        except ConnectionFault as fault:
            self._end(fault.code, str(fault))
        except WindowOverrun:
            self._end(Code.FLOW_CONTROL_ERROR, "The connection's window was overrun.")
        except Exception:
            _logger.exception("A connection failed in the front.")
            self._end(Code.INTERNAL_ERROR, "The server failed on this connection.")
        else:
            self._note_begun(whole=whole)

    # -- of the door

    def answer(self, stream: Stream, message: bytes, ending: bytes) -> None:
        """Answer a call."""
        self._out.answer(stream, message, ending)

    def refuse(self, stream: Stream, ending: bytes, http_status: int) -> None:
        """Answer a call without a message."""
        self._out.refuse(stream, ending, http_status)

    def leave(self) -> None:
        """Take no more calls, and close once those that came are answered.

        What the client sends before it knows is taken still: it is told first, and asked to say
        that it heard.
        """
        if self._over_since is None and self._leaving_since is None:
            self._leaving_since = self._clock()
            self._transport.write(
                frames.goaway(MOST, Code.NO_ERROR) + frames.frame(frames.PING, payload=_FAREWELL)
            )

    def close(self) -> None:
        """End now, whatever is under way."""
        self._end(Code.NO_ERROR, "The server ends.")
        self._transport.abort()

    def look(self, now: float) -> None:
        """End what takes its client too long."""
        patience = self._house.patience
        if self._over_since is not None:
            if now - self._over_since > patience:
                self._transport.abort()
        elif self._deaf_since is not None and now - self._deaf_since > patience:
            self._transport.abort()
        elif self._begun is not None and now - self._begun > patience:
            self._end(Code.ENHANCE_YOUR_CALM, "The rest did not arrive in time.")
        elif not self._streams and now - self._heard > _KEEP_ALIVE_SECONDS:
            self._end(Code.NO_ERROR, "Nothing was asked for a while.")
        else:
            for stream in list(self._streams.values()):
                self._look_at(stream, now, patience)
            if self._leaving_since is not None and now - self._leaving_since > _FAREWELL_SECONDS:
                self._take_no_more()

    # -- frames

    def _greet(self, data: bytes) -> bytes:
        """What follows the preface."""
        self._greeting += data
        size = len(frames.PREFACE)
        if self._greeting[:size] != frames.PREFACE[: len(self._greeting)]:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "This port speaks gRPC, over HTTP/2.")
        if len(self._greeting) < size:
            return b""
        self._greeted = True
        rest, self._greeting = self._greeting[size:], b""
        return rest

    def _take(self, frame: Frame) -> None:
        kind = frame.kind
        if not self._set and kind != frames.SETTINGS:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS come first.")
        if self._block is not None and (
            kind != frames.CONTINUATION or frame.stream != self._block.stream
        ):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A header block was interrupted.")
        take = _TAKERS.get(kind)
        if take is None:
            self._bear()
            return
        try:
            take(self, frame)
        except StreamFault as fault:
            if frame.stream > self._last:  # there is no stream to end
                raise ConnectionFault(fault.code, str(fault)) from None
            self._bear()
            self._reset(frame.stream, fault.code)

    def _take_headers(self, frame: Frame) -> None:
        if not frame.stream % 2:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A client's streams are odd.")
        block = frames.unpadded(frame)
        ends = bool(frame.flags & frames.END_STREAM)
        if frame.flags & frames.END_HEADERS:
            self._begin(frame.stream, block, ends=ends)
        else:
            self._block = _Block(frame.stream, block, ends=ends)

    def _take_continuation(self, frame: Frame) -> None:
        block = self._block
        if block is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "There is no header block to go on with.")
        block.parts += 1
        block.data += frame.payload
        if len(block.data) > LIST_LIMIT or block.parts > _CONTINUATIONS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "A header block has too many parts.")
        if frame.flags & frames.END_HEADERS:
            self._block = None
            self._begin(block.stream, bytes(block.data), ends=block.ends)

    def _begin(self, number: int, block: bytes, *, ends: bool) -> None:
        """A header block is whole: of a new call, or after a body."""
        if number <= self._last:
            self._end_body(number, block, ends=ends)
            return
        self._last = number
        call = self._blocks.read(block)
        if self._last_taken is not None:
            self._bear()
            return  # the client was told that nobody looks at it
        if len(self._streams) >= _STREAMS:
            raise StreamFault(Code.REFUSED_STREAM, "There are too many streams.")
        stream = self._streams[number] = Stream(
            self, number, call, inbound=Inbound(_WINDOW), outbound=Outbound(self._first_window),
            now=self._heard,
        )  # fmt: skip
        if ends:
            self._serve(stream, b"")

    def _end_body(self, number: int, block: bytes, *, ends: bool) -> None:
        """Headers after a body: they must be read, as later ones refer to them, and say nothing."""
        headers = self._blocks.decode(block)
        stream = self._open_stream(number)
        if stream is None:
            return
        special, _ = calls.check(headers)
        if special or not ends:
            raise StreamFault(Code.PROTOCOL_ERROR, "Headers after a body end a stream.")
        self._serve(stream, bytes(stream.body or b""))

    def _take_data(self, frame: Frame) -> None:
        size = len(frame.payload)
        more = self._inbound.take(size)
        if more:
            self._transport.write(frames.window_update(0, more))
        stream = self._open_stream(frame.stream)
        if stream is None:
            return
        try:
            more = stream.inbound.take(size)
        except WindowOverrun:
            raise StreamFault(Code.FLOW_CONTROL_ERROR, "The window was overrun.") from None
        data = frames.unpadded(frame) if frame.flags & frames.PADDED else frame.payload
        stream.received += len(data)
        if stream.received > self._house.message + calls.PREFIX.size:
            self._give_up(stream, calls.too_large(self._house.message).refusal)
        elif frame.flags & frames.END_STREAM:
            if stream.body is not None:
                stream.body += data
                data = bytes(stream.body)
            self._serve(stream, data)
        else:
            if more:
                self._transport.write(frames.window_update(stream.number, more))
            self._keep(stream, data)

    def _keep(self, stream: Stream, data: bytes) -> None:
        """Keep a part of a body, if the server can hold it."""
        if not data:
            self._bear()
        house = self._house
        if house.held + len(data) > house.unfinished:
            told = "The server holds too many unfinished messages."
            self._give_up(stream, Refusal(Status.RESOURCE_EXHAUSTED, told))
            return
        house.held += len(data)
        if stream.body is None:
            stream.body = bytearray()
        stream.body += data

    def _serve(self, stream: Stream, body: bytes) -> None:
        """A call is whole."""
        stream.whole = True
        self._release(stream)
        if stream.call.length not in (-1, len(body)):
            raise StreamFault(Code.PROTOCOL_ERROR, "The body has another length than was said.")
        self._house.serve(stream, body)

    def _take_priority(self, frame: Frame) -> None:
        if not frame.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A connection has no priority.")
        self._bear()
        if len(frame.payload) != 5:
            raise StreamFault(Code.FRAME_SIZE_ERROR, "A priority has five bytes.")

    def _take_reset(self, frame: Frame) -> None:
        frames.read_number(frame)
        self._check_begun(frame.stream)
        self._bear()
        stream = self._streams.get(frame.stream)
        if stream is not None:
            self._forget(stream)

    def _take_settings(self, frame: Frame) -> None:
        if frame.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "Settings are of the connection.")
        if frame.flags & frames.ACK:
            if frame.payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "Who agrees sets nothing.")
            self._bear()
            return
        if self._set:
            self._bear()
        self._set = True
        window = frames.read_settings(frame).get(frames.INITIAL_WINDOW_SIZE)
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK))
        if window is not None:
            more, self._first_window = window - self._first_window, window
            for stream in list(self._streams.values()):
                stream.outbound.widen(more)
                self._out.go_on(stream)

    def _take_push_promise(self, _: Frame) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "A client pushes nothing.")

    def _take_ping(self, frame: Frame) -> None:
        if frame.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A ping is of the connection.")
        if len(frame.payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A ping has eight bytes.")
        self._bear()
        if not frame.flags & frames.ACK:
            self._transport.write(frames.frame(frames.PING, frames.ACK, payload=frame.payload))
        elif frame.payload == _FAREWELL and self._leaving_since is not None:
            self._take_no_more()

    def _take_goaway(self, frame: Frame) -> None:
        if frame.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "It is the connection that goes.")
        if len(frame.payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A farewell has eight bytes or more.")
        self._take_no_more()

    def _take_window_update(self, frame: Frame) -> None:
        more = frames.read_number(frame) & MOST
        if more < _SMALL_STEP:
            self._bear()
        if not frame.stream:
            if not more:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "A window grows by something.")
            self._out.window.widen(more)
            self._out.pump()
            return
        self._check_begun(frame.stream)
        if not more:
            raise StreamFault(Code.PROTOCOL_ERROR, "A window grows by something.")
        stream = self._streams.get(frame.stream)
        if stream is not None:
            try:
                stream.outbound.widen(more)
            except WindowOverrun:
                raise StreamFault(Code.FLOW_CONTROL_ERROR, "The window is too large.") from None
            self._out.go_on(stream)

    # -- streams

    def _open_stream(self, number: int) -> Stream | None:
        """The stream that more of a body came for; None if it is over and the client may not know.

        Raises:
            ConnectionFault: There is none, or the client said itself that it is over.
        """
        stream = self._streams.get(number)
        if stream is not None:
            if stream.whole:
                raise StreamFault(Code.STREAM_CLOSED, "The body was whole already.")
            return stream
        self._check_begun(number)
        if number in self._ended_here or (
            self._last_taken is not None and number > self._last_taken
        ):
            self._bear()
            return None
        raise ConnectionFault(Code.STREAM_CLOSED, "The stream is over.")

    def _check_begun(self, number: int) -> None:
        if not number or number > self._last or not number % 2:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "There is no such stream yet.")

    def _answered(self, stream: Stream) -> None:
        """The answer of a stream was sent: tell a client that sends still that this is in vain."""
        self._ration.earn()
        if not stream.whole:
            self._transport.write(frames.reset(stream.number, Code.NO_ERROR))
            self._note_ended_here(stream.number)
        self._forget(stream)

    def _give_up(self, stream: Stream, refusal: Refusal) -> None:
        """Answer a call that is not whole."""
        stream.refuse(calls.closing(refusal.status, refusal.told))

    def _reset(self, number: int, code: Code) -> None:
        """End a stream."""
        stream = self._streams.get(number)
        if stream is not None:
            self._forget(stream)
        self._note_ended_here(number)
        self._transport.write(frames.reset(number, code))

    def _note_ended_here(self, number: int) -> None:
        ended = self._ended_here
        ended[number] = None
        if len(ended) > _REMEMBERED:
            del ended[next(iter(ended))]

    def _forget(self, stream: Stream) -> None:
        """Nothing more comes or goes on a stream."""
        self._streams.pop(stream.number, None)
        self._release(stream)
        stream.left = True
        stream.unsent = None
        if self._last_taken is not None and not self._streams and self._over_since is None:
            self._end(Code.NO_ERROR, "")

    def _release(self, stream: Stream) -> None:
        """Let go of what came of a body."""
        if stream.body is not None:
            self._house.held -= len(stream.body)
            stream.body = None

    def _look_at(self, stream: Stream, now: float, patience: float) -> None:
        waited = now - stream.since
        if not stream.whole and waited > min(patience, stream.call.timeout):
            told = "The message did not arrive in time."
            self._give_up(stream, Refusal(Status.DEADLINE_EXCEEDED, told))
        elif stream.unsent is not None and waited > patience:
            self._reset(stream.number, Code.CANCEL)

    # -- the end

    def _bear(self) -> None:
        if not self._ration.spend(self._heard):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "That is too much for too few calls.")

    def _note_begun(self, *, whole: bool) -> None:
        """Note since when something is not whole: a preface, a frame, a header block."""
        if not self._set or (self._block is not None and self._begun is not None):
            return
        if self._block is None and not self._reader.waits:
            self._begun = None
        elif whole or self._begun is None:
            self._begun = self._heard

    def _take_no_more(self) -> None:
        if self._last_taken is None:
            self._last_taken = self._last
            if self._streams:
                self._transport.write(frames.goaway(self._last, Code.NO_ERROR))
            else:
                self._end(Code.NO_ERROR, "")

    def _end(self, code: Code, told: str) -> None:
        """Say why, and close."""
        if self._over_since is not None:
            return
        self._over_since = self._clock()
        last = self._last if self._last_taken is None else self._last_taken
        self._transport.write(frames.goaway(last, code, told))
        self._transport.close()
        for stream in list(self._streams.values()):
            self._forget(stream)


class _Block:
    """A header block that is not whole."""

    __slots__ = ("data", "ends", "parts", "stream")

    def __init__(self, stream: int, data: bytes, *, ends: bool) -> None:
        self.stream = stream
        self.data = bytearray(data)
        self.ends = ends
        self.parts = 1


_TAKERS: Final[dict[int, Callable[[Connection, Frame], None]]] = {
    frames.DATA: Connection._take_data,
    frames.HEADERS: Connection._take_headers,
    frames.PRIORITY: Connection._take_priority,
    frames.RST_STREAM: Connection._take_reset,
    frames.SETTINGS: Connection._take_settings,
    frames.PUSH_PROMISE: Connection._take_push_promise,
    frames.PING: Connection._take_ping,
    frames.GOAWAY: Connection._take_goaway,
    frames.WINDOW_UPDATE: Connection._take_window_update,
    frames.CONTINUATION: Connection._take_continuation,
}
