"""Answers on their way to a client: what fits goes at once, the rest takes turns."""

import asyncio
from collections import deque
from collections.abc import Callable

from cloche.serving.front.grpc import frames
from cloche.serving.front.grpc.call import PREFIX, opening
from cloche.serving.front.grpc.frames import DATA, END_HEADERS, END_STREAM, HEADERS, LARGEST
from cloche.serving.front.grpc.stream import Stream
from cloche.serving.front.grpc.windows import Outbound

FIRST_WINDOW = 65_535
_LAST = END_HEADERS | END_STREAM


class Outgoing:
    """The sending half of a connection.

    Attributes:
        window: What may be sent on all streams together.
        paused: Whether the client does not read what was sent.
    """

    def __init__(
        self, transport: asyncio.Transport, done: Callable[[Stream], None],
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        """Send over `transport`, and tell `done` of every answer that was sent whole."""
        self.window = Outbound(FIRST_WINDOW)
        self.paused = False
        self._transport = transport
        self._done = done
        self._clock = clock
        self._queue: deque[Stream] = deque()

    def answer(self, stream: Stream, message: bytes, ending: bytes) -> None:
        """Send a message and the headers after it."""
        size = PREFIX.size + len(message)
        head = opening()
        if (
            size <= LARGEST
            and size <= self.window.left
            and size <= stream.outbound.left
            and not self._queue
            and not self.paused
        ):
            self.window.left -= size
            self._transport.write(
                frames.unary(stream.number, head, PREFIX.pack(0, len(message)) + message, ending)
            )
            self._done(stream)
            return
        self._transport.write(frames.frame(HEADERS, END_HEADERS, stream.number, head))
        stream.unsent = memoryview(PREFIX.pack(0, len(message)) + message)
        stream.ending = ending
        stream.since = self._clock()
        self.go_on(stream)

    def refuse(self, stream: Stream, ending: bytes, http_status: int) -> None:
        """Send headers only."""
        block = opening(http_status) + ending
        self._transport.write(frames.frame(HEADERS, _LAST, stream.number, block))
        self._done(stream)

    def go_on(self, stream: Stream) -> None:
        """Send the rest of an answer, whose window may have grown, as soon as it is its turn."""
        if stream.unsent is not None and not stream.queued and stream.outbound.left > 0:
            stream.queued = True
            self._queue.append(stream)
            self.pump()

    def pump(self) -> None:
        """Send what the windows allow, a frame of each stream in turn."""
        queue = self._queue
        while queue and not self.paused:
            stream = queue[0]
            unsent = stream.unsent
            if unsent is None:  # it was given up meanwhile
                queue.popleft()
                continue
            count = min(len(unsent), LARGEST, self.window.left, stream.outbound.left)
            if count <= 0 and stream.outbound.left > 0:
                return  # the connection's window is shut
            queue.popleft()
            stream.queued = False
            if count <= 0:
                continue  # its own is: it comes back when that opens
            self._send(stream, unsent, count)

    def _send(self, stream: Stream, unsent: memoryview, count: int) -> None:
        self.window.left -= count
        stream.outbound.left -= count
        stream.since = self._clock()
        part = frames.frame(DATA, 0, stream.number, bytes(unsent[:count]))
        if count < len(unsent):
            stream.unsent = unsent[count:]
            if stream.outbound.left > 0:
                stream.queued = True
                self._queue.append(stream)
            self._transport.write(part)
        else:
            stream.unsent = None
            last = frames.frame(HEADERS, _LAST, stream.number, stream.ending)
            self._transport.write(part + last)
            self._done(stream)
