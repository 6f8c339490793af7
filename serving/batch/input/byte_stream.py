"""What readers of pandas and Arrow need of a stream of bytes, besides its `read`."""

import io
from typing import Any


class ByteStream(io.RawIOBase):
    """A stream that only has to define `read`."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and return the number of bytes."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
