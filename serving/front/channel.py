"""The front's end of a socket to a model host: one frame out, one frame back."""

import asyncio
import json
from typing import Any, cast

from serving.host.frames import FrameReader, Kind, ProtocolError


class Channel(asyncio.Protocol):
    """Sends a frame and waits for the answering one. The caller sets the deadline.

    Attributes:
        lost: Done when the socket is closed.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._waiting: asyncio.Future[tuple[Kind, memoryview]] | None = None
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give a complete frame to whoever waits.

        A frame that nobody asked for ends the connection.
        """
        try:
            frames = list(self._reader.feed(data))
        except ProtocolError:
            self.close()
            return
        for frame in frames:
            if self._waiting is None or self._waiting.done():
                self.close()
                return
            self._waiting.set_result(frame)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("The host closed its socket."))
        if not self.lost.done():
            self.lost.set_result(None)

    def ask(self, frame: bytes) -> asyncio.Future[tuple[Kind, memoryview]]:
        """Send `frame`; the future of the answering one."""
        self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None or self.lost.done() or self._transport.is_closing():
            self._waiting.set_exception(ConnectionError("The host closed its socket."))
        else:
            self._transport.write(frame)
        return self._waiting

    def close(self) -> None:
        """Close the socket; the host ends."""
        if self._transport is not None:
            self._transport.close()

    @staticmethod
    def read_control(payload: memoryview) -> dict[str, Any]:
        """The JSON of a control frame."""
        message: dict[str, Any] = json.loads(bytes(payload))
        return message
