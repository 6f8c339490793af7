"""How much a client may send that is no body, however its bytes arrive; and heads without upgrades.

Pure: it is given bytes and what a parser made of them.
"""

from cloche.serving.web.asgi import HeaderList

HEAD_LIMIT = 64 * 1024
MOST_HEADERS = 100
_END = b"\r\n\r\n"


class MessageMeter:
    """Follows requests through a parser, and tells when one has too much beside its body.

    A parser hands out headers that are whole: one that never ends is seen by its bytes alone. A
    head is counted by its bytes where it begins with a piece, and where it follows another request
    in the same piece by what the parser found.

    Attributes:
        begun: How many requests have begun.
        in_head: Whether one has begun whose head is not whole.
        in_body: Whether one has a whole head, and more to come.
    """

    __slots__ = ("_before", "_count", "_silent", "_size", "begun", "in_body", "in_head")

    def __init__(self) -> None:
        self.begun = 0
        self.in_head = False
        self.in_body = False
        self._size = 0  # of the piece at hand
        self._silent = 0  # bytes since a request began, or some of its body came
        self._count: HeadCount | None = None  # of a head that is large, or came in pieces
        self._before = (0, False)  # the piece at hand: requests, and whether it goes on with one

    def arrives(self, piece: bytes) -> bool:
        """A piece is about to be parsed; whether it is too large a head already."""
        size = self._size = len(piece)
        self._silent += size
        self._before = (self.begun, self.in_head or self.in_body)
        if self.in_body or (self._count is None and size <= HEAD_LIMIT):
            return False
        count = self._count = self._count or HeadCount()
        count.add(piece)
        return count.size > HEAD_LIMIT

    def begin(self) -> None:
        """A head begins."""
        self.begun += 1
        self.in_head = True
        self._silent = 0

    def is_head_too_large(self, url: bytes, headers: HeaderList) -> bool:
        """The head at hand is whole: whether it is too large."""
        large = self._size > HEAD_LIMIT or self._count is not None
        self.in_head = False
        self._count = None
        return len(headers) > MOST_HEADERS or (large and head_size(url, headers) > HEAD_LIMIT)

    def some_body(self) -> None:
        """Some of the body came."""
        self._silent = 0

    def is_too_much(self, piece: bytes, url: bytes, headers: HeaderList) -> bool:
        """The piece was parsed: whether what came of an unfinished request is too large."""
        if self.in_body:
            return self._silent > HEAD_LIMIT  # headers after the body, or remarks on its chunks
        if not self.in_head:
            return False
        if len(headers) > MOST_HEADERS:
            return True
        if self._count is not None:
            return False  # it was looked at when the piece arrived
        begun, goes_on = self._before
        if self.begun == begun + 1 and not goes_on:
            self._count = HeadCount()
            self._count.add(piece)
        else:
            self._count = HeadCount(head_size(url, headers), piece)
        return self._count.size > HEAD_LIMIT


def head_size(url: bytes, headers: HeaderList) -> int:
    """Bytes of a head of which this was read; a header has three beside its name and its value."""
    return len(url) + sum(len(name) + len(value) + 3 for name, value in headers)


class HeadCount:
    """Counts the bytes of one head, piece by piece.

    Attributes:
        size: Bytes of the head that came.
    """

    __slots__ = ("_tail", "size")

    def __init__(self, size: int = 0, before: bytes = b"") -> None:
        """Begin with `size` bytes, the last of which are the end of `before`."""
        self.size = size
        self._tail = before[-len(_END) + 1 :]

    def add(self, piece: bytes) -> None:
        """Count a piece of the head, which may go on with the body."""
        if not self.size:
            piece = piece.lstrip(b"\r\n")  # a parser skips empty lines before a head
        end = (self._tail + piece).find(_END)
        self.size += len(piece) if end < 0 else end + len(_END) - len(self._tail)
        self._tail = (self._tail + piece)[-len(_END) + 1 :]


def without_upgrade(method: bytes, url: bytes, version: str, headers: HeaderList) -> bytes:
    """The head of a request that asks for another protocol, as if it did not.

    A server that does not offer a protocol ignores the wish (RFC 9110, section 7.8).
    """
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() != b"upgrade")  # noqa: PLW2901
        if name != b"upgrade" and (value or name != b"connection"):
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
