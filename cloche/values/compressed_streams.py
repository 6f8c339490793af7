"""Reads files that consist of several compressed streams to their last byte.

`bz2.open` and `lzma.open` treat data that is no stream as the end of the file: they would skip a
stream with a damaged header, and all streams after it, without an error.
"""

import bz2
import io
import lzma
from collections.abc import Callable
from typing import Any, Final

_CHUNK = 1 << 16
_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}
SUFFIXES: Final = tuple(_DECOMPRESSORS)


def decompressed(packed: Any, suffix: str) -> io.BufferedReader:
    """Open the content of a compressed binary file with one of the `SUFFIXES`."""
    return io.BufferedReader(ConcatenatedStreams(packed, _DECOMPRESSORS[suffix]))


class ConcatenatedStreams(io.RawIOBase):
    """A file that reads the content of all streams; zero bytes after a stream are padding."""

    def __init__(self, packed: Any, decompressor: Callable[[], Any]) -> None:
        """Store the packed file and the function that creates a decompressor for each stream."""
        self._packed = packed
        self._new = decompressor
        self._stream = decompressor()

    def readable(self) -> bool:
        """Whether the file can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes of the content into `buffer`, and return their number.

        Raises:
            EOFError: A stream is cut short.
            OSError, lzma.LZMAError: The file contains data that is no stream.
        """
        content = b""
        while not content:
            packed = b""
            if self._stream.eof:
                packed = self._following()
                if not packed:
                    return 0
                self._stream = self._new()
            elif self._stream.needs_input:
                packed = self._packed.read(_CHUNK)
                if not packed:
                    raise EOFError("the compressed data is cut short")
            content = self._stream.decompress(packed, len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _following(self) -> bytes:
        """Read the first bytes of the next stream; empty at the end of the file."""
        packed: bytes = self._stream.unused_data.lstrip(b"\0")
        while not packed and (more := self._packed.read(_CHUNK)):
            packed = more.lstrip(b"\0")
        return packed
