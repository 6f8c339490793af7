"""Flow control (RFC 9113, section 5.2): how much either side may send. Pure."""

from cloche.serving.front.grpc.frames import MOST


class WindowOverrun(Exception):
    """A window was made larger than it can be, or more was sent than fits."""


class Inbound:
    """What the client may still send."""

    __slots__ = ("_left", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size

    def take(self, count: int) -> int:
        """Note that `count` bytes came; how many more to grant for them, once it is worth a frame.

        Raises:
            WindowOverrun: More came than was granted.
        """
        self._left -= count
        if self._left < 0:
            raise WindowOverrun
        if self._left * 2 > self._size:
            return 0
        more = self._size - self._left
        self._left = self._size
        return more


class Outbound:
    """What may still be sent to the client; less than nothing after it made its windows smaller."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def widen(self, more: int) -> None:
        """Let `more` bytes be sent.

        Raises:
            WindowOverrun: A window cannot be that large.
        """
        if self.left + more > MOST:
            raise WindowOverrun
        self.left += more
