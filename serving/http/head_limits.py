"""Limits on the size of request heads, and the removal of upgrades from heads.

Pure: it receives bytes, and the URL and headers that a parser found in them.
"""

from cloche.serving.web.asgi import HeaderList

HEAD_LIMIT = 64 * 1024
MOST_HEADERS = 100
_END = b"\r\n\r\n"


class MessageMeter:
    """Counts the bytes of requests beside their bodies, and reports when there are too many.

    A parser reports complete headers only, so bytes must be counted to notice a header that never
    ends. If a head follows another request in the same piece of received data, its size is computed
    from the headers that the parser found.

    Attributes:
        begun: The number of requests that have begun.
        in_head: Whether the head of the current request is incomplete.
        in_body: Whether the current request has a complete head and an incomplete body.
    """

    __slots__ = ("_before", "_count", "_silent", "_size", "begun", "in_body", "in_head")

    def __init__(self) -> None:
        self.begun = 0
        self.in_head = False
        self.in_body = False
        self._size = 0  # of the current piece
        self._silent = 0  # bytes since the request began, or since the last data of its body
        self._count: HeadCount | None = None  # of a head that is large, or arrives in pieces
        self._before = (0, False)  # before this piece: requests begun, and one unfinished

    def arrives(self, piece: bytes) -> bool:
        """Count a piece before it is parsed; return whether its head is already too large."""
        size = self._size = len(piece)
        self._silent += size
        self._before = (self.begun, self.in_head or self.in_body)
        if self.in_body or (self._count is None and size <= HEAD_LIMIT):
            return False
        count = self._count = self._count or HeadCount()
        count.add(piece)
        return count.size > HEAD_LIMIT

    def begin(self) -> None:
        """Record that a head begins."""
        self.begun += 1
        self.in_head = True
        self._silent = 0

    def is_head_too_large(self, url: bytes, headers: HeaderList) -> bool:
        """Record that the head is complete; return whether it is too large."""
        large = self._size > HEAD_LIMIT or self._count is not None
        self.in_head = False
        self._count = None
        return len(headers) > MOST_HEADERS or (large and head_size(url, headers) > HEAD_LIMIT)

    def some_body(self) -> None:
        """Record that data of the body arrived."""
        self._silent = 0

    def is_too_much(self, piece: bytes, url: bytes, headers: HeaderList) -> bool:
        """Check a piece after it was parsed: whether an unfinished request is too large."""
        if self.in_body:
            return self._silent > HEAD_LIMIT  # trailer fields or chunk extensions
        if not self.in_head:
            return False
        if len(headers) > MOST_HEADERS:
            return True
        if self._count is not None:
            return False  # `arrives` checked it
        begun, goes_on = self._before
        if self.begun == begun + 1 and not goes_on:
            self._count = HeadCount()
            self._count.add(piece)
        else:
            self._count = HeadCount(head_size(url, headers), piece)
        return self._count.size > HEAD_LIMIT


def head_size(url: bytes, headers: HeaderList) -> int:
    """The bytes of a head with these headers; colon and line end add three to each header."""
    return len(url) + sum(len(name) + len(value) + 3 for name, value in headers)


class HeadCount:
    """Counts the bytes of one head, piece by piece."""

    __slots__ = ("_tail", "size")

    def __init__(self, size: int = 0, before: bytes = b"") -> None:
        """Start from `size` bytes that are already counted; `before` ends with the last of them."""
        self.size = size
        self._tail = before[-len(_END) + 1 :]

    def add(self, piece: bytes) -> None:
        """Count a piece of the head, which may also hold the beginning of the body."""
        if not self.size:
            piece = piece.lstrip(b"\r\n")  # a parser skips empty lines before a head
        end = (self._tail + piece).find(_END)
        self.size += len(piece) if end < 0 else end + len(_END) - len(self._tail)
        self._tail = (self._tail + piece)[-len(_END) + 1 :]


def without_upgrade(method: bytes, url: bytes, version: str, headers: HeaderList) -> bytes:
    """The head of an upgrade request, without the upgrade.

    A server may ignore a request to upgrade to another protocol (RFC 9110, section 7.8).
    """
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() != b"upgrade")  # noqa: PLW2901
        if name != b"upgrade" and (value or name != b"connection"):
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
