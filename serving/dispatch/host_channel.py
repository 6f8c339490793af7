"""The front's end of a socket to a model host: one frame out, one frame back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from cloche.serving.processes.frames import FrameReader, Kind, ProtocolError

Frame = tuple[Kind, bytes]
OnAnswer = Callable[[Frame | None], None]

_FULL_LOAD = (Kind.READY, Kind.FAILED)


class Channel(asyncio.Protocol):
    """Sends a frame and receives its answer. The caller sets the timeout.

    Attributes:
        lost: A future that is done when the socket is closed.
        full_load: None unless the twin answers while the model still loads. Then a future of the
            frame that reports the end of the load, or of None if the socket closes first; it stays.
    """

    def __init__(self) -> None:
        self.full_load: asyncio.Future[Frame | None] | None = None
        self._reader = FrameReader()
        self._on_answer: OnAnswer | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass each complete frame to the waiting caller, and the end of a load to `full_load`.

        Any other frame for which no caller waits closes the connection.
        """
        try:
            frames = list(self._reader.feed(data))
        except ProtocolError:
            self.close()
            return
        for frame in frames:
            if frame[0] is Kind.TWIN_READY:
                self.full_load = asyncio.get_running_loop().create_future()
            elif (
                self.full_load is not None and frame[0] in _FULL_LOAD and not self.full_load.done()
            ):
                self.full_load.set_result(frame)
                continue
            on_answer, self._on_answer = self._on_answer, None
            if on_answer is None:
                self.close()
                return
            on_answer(frame)

    def connection_lost(self, _: Exception | None) -> None:
        """Report the loss to the waiting caller."""
        on_answer, self._on_answer = self._on_answer, None
        if self.full_load is not None and not self.full_load.done():
            self.full_load.set_result(None)
        if not self.lost.done():
            self.lost.set_result(None)
        if on_answer is not None:
            on_answer(None)

    def send(self, frame: bytes, on_answer: OnAnswer) -> None:
        """Send `frame`, and call `on_answer` with the answer.

        It is called as soon as the answer has arrived, not in a later turn of the loop: while a
        host waits for its next batch, a core is idle. It gets None if the host closed its socket.
        """
        if self._transport is None or self.lost.done() or self._transport.is_closing():
            on_answer(None)
        else:
            self._on_answer = on_answer
            self._transport.write(frame)

    def forget(self) -> None:
        """Stop waiting; an answer that still arrives closes the connection."""
        self._on_answer = None

    def close(self) -> None:
        """Close the socket, which ends the host."""
        if self._transport is not None:
            self._transport.close()

    @staticmethod
    def read_control(payload: bytes) -> dict[str, Any]:
        """The JSON in the payload of a control frame."""
        message: dict[str, Any] = json.loads(payload)
        return message
