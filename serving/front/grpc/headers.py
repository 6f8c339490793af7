"""Header blocks (RFC 7541): what clients send, read by hpack and remembered; and answers, written.

A client that asks the same again sends the same few bytes. They mean the same for as long as the
dynamic table is what it was, so what was read of them is kept until a block changes the table.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

from cloche.serving.front.grpc.frames import Code, ConnectionFault

LIST_LIMIT = 64 * 1024
"""Bytes of a header list, and of the block that it is sent in."""

_CONTINUATIONS = 64
_REMEMBERED = 64
_LONGEST_REMEMBERED, _MOST_REMEMBERED = 1024, 64  # bytes of a block, and headers in it
_NO_TABLE = b"\x20"  # the table of what was sent is, and stays, empty; see 6.3
_RESIZING = frozenset(bytes([first]) for first in range(0x20, 0x40))  # how a block begins; see 6.3
_WITHOUT_INDEXING = b"\x00"
_SIZES = [bytes([size]) for size in range(127)]  # of most texts

HeaderList = list[tuple[bytes, bytes]]
T = TypeVar("T")


class _Table(HeaderTable):
    """A table that knows whether anything was added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)


class Blocks(Generic[T]):
    """Reads the header blocks of one connection, in the order they come."""

    def __init__(self, understand: Callable[[HeaderList], T]) -> None:
        """Begin with an empty table.

        Args:
            understand: Makes of a header list what is wanted of it. It is not asked again for a
                block that is remembered.
        """
        self._understand = understand
        self._decoder = Decoder(LIST_LIMIT)
        self._table = _Table()
        self._decoder.header_table = self._table
        self._remembered: dict[bytes, T] = {}

    def read(self, block: bytes) -> T:
        """What a block means.

        Raises:
            ConnectionFault: It cannot be read, and so none after it can.
        """
        known = self._remembered.get(block)
        if known is not None:
            return known
        headers = self.decode(block)
        found = self._understand(headers)
        small = len(block) <= _LONGEST_REMEMBERED and len(headers) <= _MOST_REMEMBERED
        if small and not self._table.changed:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[block] = found
        return found

    def decode(self, block: bytes) -> HeaderList:
        """The headers of a block.

        Raises:
            ConnectionFault: It cannot be read, and so none after it can.
        """
        self._table.changed = block[:1] in _RESIZING
        try:
            headers = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "There are too many headers.") from None
        except HPACKError:
            raise ConnectionFault(Code.COMPRESSION_ERROR, "Headers cannot be read.") from None
        if self._table.changed:
            self._remembered.clear()
        return [(name, value) for name, value in headers]


def fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in any block, whatever was sent before."""
    return b"".join(_WITHOUT_INDEXING + _text(name) + _text(value) for name, value in headers)


def opening(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """How the first block of an answer begins, for any client: it keeps no table for us."""
    return _NO_TABLE + fields(headers)


def _text(text: bytes) -> bytes:
    size = len(text)
    return (_SIZES[size] if size < len(_SIZES) else bytes(encode_integer(size, 7))) + text


class Parts:
    """A header block that comes in several frames.

    Attributes:
        stream: Whose it is.
        ends: Whether nothing comes after it.
        data: What came of it.
    """

    def __init__(self, stream: int, data: bytes, *, ends: bool) -> None:
        self.stream = stream
        self.ends = ends
        self.data = bytearray(data)
        self._count = 1

    def add(self, data: bytes) -> None:
        """Take one more part.

        Raises:
            ConnectionFault: There are too many, or they are too large.
        """
        self._count += 1
        self.data += data
        if len(self.data) > LIST_LIMIT or self._count > _CONTINUATIONS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "A header block has too many parts.")
