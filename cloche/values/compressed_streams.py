"""Reads files of several compressed streams, one after the other, to their last byte.

`bz2.open` and `lzma.open` take whatever is no stream for the end of the file, so that a stream with
a damaged head, and all behind it, would be left out without an error.
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


def unpacked(packed: Any, suffix: str) -> io.BufferedReader:
    """The content of a binary file whose name ends in one of `SUFFIXES`."""
    return io.BufferedReader(Streams(packed, _DECOMPRESSORS[suffix]))


class Streams(io.RawIOBase):
    """The content of all streams of a file; zeros between and behind streams are padding."""

    def __init__(self, packed: Any, decompressor: Callable[[], Any]) -> None:
        """Take the file, and what makes a decompressor of bz2's or lzma's kind for each stream."""
        self._packed = packed
        self._new = decompressor
        self._stream = decompressor()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes of the content.

        Raises:
            EOFError: A stream is cut short.
            OSError, lzma.LZMAError: There is something that is no stream.
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
        """What begins the next stream; empty at the end of the file."""
        packed: bytes = self._stream.unused_data.lstrip(b"\0")
        while not packed and (more := self._packed.read(_CHUNK)):
            packed = more.lstrip(b"\0")
        return packed
