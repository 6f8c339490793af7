"""What a client's frames mean: calls that begin, go on and end (RFC 9113, sections 5, 6 and 8)."""

import asyncio
from collections.abc import Callable
from typing import Final

from cloche.serving.front.grpc import call as calls
from cloche.serving.front.grpc import frames
from cloche.serving.front.grpc.call import Call, Refusal, Status
from cloche.serving.front.grpc.frames import MOST, Code, ConnectionFault, Frame, StreamFault
from cloche.serving.front.grpc.headers import LIST_LIMIT, Blocks, Parts
from cloche.serving.front.grpc.house import House
from cloche.serving.front.grpc.outgoing import FIRST_WINDOW, Outgoing
from cloche.serving.front.grpc.ration import Ration
from cloche.serving.front.grpc.stream import Stream
from cloche.serving.front.grpc.windows import Inbound, Outbound, WindowOverrun

_STREAMS = 1024
_WINDOW = 1024 * 1024
_WINDOW_OF_ALL = 16 * 1024 * 1024
_SMALL_STEP = 256  # of a window: smaller ones cost more than they carry
_FAREWELL = b"farewell"
_REMEMBERED = 1024
_GREETING = frames.settings({
    frames.MAX_CONCURRENT_STREAMS: _STREAMS,
    frames.INITIAL_WINDOW_SIZE: _WINDOW,
    frames.MAX_HEADER_LIST_SIZE: LIST_LIMIT,
}) + frames.window_update(0, _WINDOW_OF_ALL - FIRST_WINDOW)  # fmt: skip


class Session:
    """The calls of one connection.

    Attributes:
        out: The answers on their way.
        begun: Whether the client sent its first settings.
        last: The highest stream that is looked at.
    """

    def __init__(
        self, house: House, transport: asyncio.Transport, end: Callable[[Code, str], None]
    ) -> None:
        """Greet the client.

        Args:
            house: What the connections share.
            transport: Where frames are written to.
            end: Ends the connection, and says why.
        """
        self.out = Outgoing(transport, self._answered, house.clock)
        self.begun = False
        self.last = 0
        self._house = house
        self._transport = transport
        self._end = end
        self._blocks: Blocks[Call] = Blocks(calls.read)
        self._parts: Parts | None = None
        self._streams: dict[int, Stream] = {}
        self._ended_here: dict[int, None] = {}  # the client may not know yet that they are over
        self._highest = 0  # the last stream that was begun
        self._inbound = Inbound(_WINDOW_OF_ALL)
        self._first_window = FIRST_WINDOW
        self._now = house.clock()
        self._ration = Ration(self._now)
        self._leaving = False  # the client was told to go
        self._full = False  # no more streams are looked at
        transport.write(_GREETING)

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not self._streams

    @property
    def waits(self) -> bool:
        """Whether a header block has begun that is not whole."""
        return self._parts is not None

    def take(self, frame: Frame, now: float) -> None:
        """Do what a frame says.

        Raises:
            ConnectionFault: It cannot be said here.
            WindowOverrun: It is more than the connection's window, or makes that too large.
        """
        self._now = now
        kind = frame.kind
        if not self.begun and kind != frames.SETTINGS:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS come first.")
        if self._parts is not None and (
            kind != frames.CONTINUATION or frame.stream != self._parts.stream
        ):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A header block was interrupted.")
        take = _TAKERS.get(kind)
        if take is None:
            self._bear()
            return
        try:
            take(self, frame)
        except StreamFault as fault:
            if frame.stream > self._highest:  # there is no stream to end
                raise ConnectionFault(fault.code, str(fault)) from None
            self._bear()
            self._reset(frame.stream, fault.code)

    def leave(self) -> None:
        """Tell the client to go, and ask it to say that it heard."""
        self._leaving = True
        farewell = frames.frame(frames.PING, payload=_FAREWELL)
        self._transport.write(frames.goaway(MOST, Code.NO_ERROR) + farewell)

    def take_no_more(self) -> None:
        """Look at no new calls, and end the connection with the last answer."""
        if not self._full:
            self._full = True
            if self._streams:
                self._transport.write(frames.goaway(self.last, Code.NO_ERROR))
            else:
                self._end(Code.NO_ERROR, "")

    def look(self, now: float, patience: float) -> None:
        """End calls that take their client too long."""
        for stream in list(self._streams.values()):
            waited = now - stream.since
            if not stream.whole and waited > min(patience, stream.call.timeout):
                told = "The message did not arrive in time."
                self._give_up(stream, Refusal(Status.DEADLINE_EXCEEDED, told))
            elif stream.unsent is not None and waited > patience:
                self._reset(stream.number, Code.CANCEL)

    def abandon(self) -> None:
        """Let whoever answers know that the client left."""
        for stream in list(self._streams.values()):
            self._forget(stream)

    def answer(self, stream: Stream, message: bytes, ending: bytes) -> None:
        """Answer a call."""
        self.out.answer(stream, message, ending)

    def refuse(self, stream: Stream, ending: bytes, http_status: int) -> None:
        """Answer a call without a message."""
        self.out.refuse(stream, ending, http_status)

    # -- frames

    def _take_headers(self, frame: Frame) -> None:
        if not frame.stream % 2:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "A client's streams are odd.")
        block = frames.unpadded(frame)
        ends = bool(frame.flags & frames.END_STREAM)
        if frame.flags & frames.END_HEADERS:
            self._begin(frame.stream, block, ends=ends)
        else:
            self._parts = Parts(frame.stream, block, ends=ends)

    def _take_continuation(self, frame: Frame) -> None:
        parts = self._parts
        if parts is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "There is no header block to go on with.")
        parts.add(frame.payload)
        if frame.flags & frames.END_HEADERS:
            self._parts = None
            self._begin(parts.stream, bytes(parts.data), ends=parts.ends)

    def _begin(self, number: int, block: bytes, *, ends: bool) -> None:
        """A header block is whole: of a new call, or after a body."""
        if number <= self._highest:
            self._end_body(number, block, ends=ends)
            return
        self._highest = number
        call = self._blocks.read(block)
        if self._full:
            self._bear()
            return  # the client was told that nobody looks at it
        self.last = number
        if len(self._streams) >= _STREAMS:
            raise StreamFault(Code.REFUSED_STREAM, "There are too many streams.")
        stream = self._streams[number] = Stream(
            self, number, call, inbound=Inbound(_WINDOW), outbound=Outbound(self._first_window),
            now=self._now,
        )  # fmt: skip
        if ends:
            self._serve(stream, b"")
        elif not self._house.implements(call):
            self._house.serve(stream, b"")  # it is refused at once, whatever follows

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
        """Keep a part of a body, if the server can hold it, and will look at it."""
        if not data:
            self._bear()
        house = self._house
        if stream.body is None:
            stream.body = bytearray()
            stream.wanted = house.admits(stream.call)
        if not stream.wanted:
            return
        if house.held + len(data) > house.unfinished:
            told = "The server holds too many unfinished messages."
            self._give_up(stream, Refusal(Status.RESOURCE_EXHAUSTED, told))
            return
        house.held += len(data)
        stream.body += data

    def _serve(self, stream: Stream, body: bytes) -> None:
        """A call is whole."""
        stream.whole = True
        self._release(stream)
        if stream.call.length not in (-1, stream.received):
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
        if self.begun:
            self._bear()
        self.begun = True
        window = frames.read_settings(frame).get(frames.INITIAL_WINDOW_SIZE)
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK))
        if window is not None:
            more, self._first_window = window - self._first_window, window
            for stream in list(self._streams.values()):
                stream.outbound.widen(more)
                self.out.go_on(stream)

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
        elif frame.payload == _FAREWELL and self._leaving:
            self.take_no_more()

    def _take_goaway(self, frame: Frame) -> None:
        if frame.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "It is the connection that goes.")
        if len(frame.payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "A farewell has eight bytes or more.")
        self.take_no_more()

    def _take_window_update(self, frame: Frame) -> None:
        more = frames.read_number(frame) & MOST
        if more < _SMALL_STEP:
            self._bear()
        if not frame.stream:
            if not more:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "A window grows by something.")
            self.out.window.widen(more)
            self.out.pump()
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
            self.out.go_on(stream)

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
        if number in self._ended_here or number > self.last:
            self._bear()
            return None
        raise ConnectionFault(Code.STREAM_CLOSED, "The stream is over.")

    def _check_begun(self, number: int) -> None:
        if not number or number > self._highest or not number % 2:
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
        if self._full and not self._streams:
            self._end(Code.NO_ERROR, "")

    def _release(self, stream: Stream) -> None:
        """Let go of what came of a body."""
        if stream.body is not None:
            self._house.held -= len(stream.body)
            stream.body = None

    def _bear(self) -> None:
        if not self._ration.spend(self._now):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "That is too much for too few calls.")


_TAKERS: Final[dict[int, Callable[[Session, Frame], None]]] = {
    frames.DATA: Session._take_data,
    frames.HEADERS: Session._take_headers,
    frames.PRIORITY: Session._take_priority,
    frames.RST_STREAM: Session._take_reset,
    frames.SETTINGS: Session._take_settings,
    frames.PUSH_PROMISE: Session._take_push_promise,
    frames.PING: Session._take_ping,
    frames.GOAWAY: Session._take_goaway,
    frames.WINDOW_UPDATE: Session._take_window_update,
    frames.CONTINUATION: Session._take_continuation,
}
