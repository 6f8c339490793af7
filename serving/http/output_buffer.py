"""A transport that sends what is written in one turn of the event loop at once.

uvicorn writes the head and the body of an answer one by one; each write is a system call that wakes
the client.
"""

import asyncio
from typing import Any


class BufferedTransport:
    """Holds writes back until the current turn of the loop ends, or the connection closes.

    Everything else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data`, soon."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send `data` now, after what is held."""
        if self._held:
            self._held.append(data)
            self._flush()
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is held and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))
