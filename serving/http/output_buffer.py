"""A transport that combines all writes of one turn of the event loop.

uvicorn writes the head and the body of an answer separately; each write is a system call that wakes
the client.
"""

import asyncio
from typing import Any


class BufferedTransport:
    """Holds writes back until the current turn of the loop ends, or the connection closes.

    All other methods are those of the wrapped transport.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing  # each answer asks, and `__getattr__` takes longer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` at the end of the current turn of the loop."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def write_at_once(self, data: bytes) -> None:
        """Send `data` now, after the writes that are held back."""
        if self._held:
            self._held.append(data)
            self._flush()
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send the writes that are held back, and close the connection."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))
