"""One stream of a connection: a call, and its answer."""

from typing import TYPE_CHECKING

from cloche.serving.front.grpc.call import Call
from cloche.serving.front.grpc.windows import Inbound, Outbound

if TYPE_CHECKING:
    from cloche.serving.front.grpc.session import Session


class Stream:
    """A call that came.

    Attributes:
        number: On its connection.
        call: Its head.
        since: When it came; once it is answered, when some of the answer was sent last.
        body: What came of a body that is not whole.
        received: Bytes of it.
        wanted: Whether more of it is kept.
        whole: Whether nothing more of it may come.
        left: Whether nobody waits for its answer any more.
        inbound: What the client may send for it.
        outbound: What may be sent for it.
        unsent: The rest of an answer that did not fit into the windows; None if there is none.
        ending: The headers after that.
        queued: Whether the rest is in the connection's queue, or waits for the stream's window.
    """

    __slots__ = (
        "_session", "body", "call", "ending", "inbound", "left", "number", "outbound", "queued",
        "received", "since", "unsent", "wanted", "whole",
    )  # fmt: skip

    def __init__(
        self, session: "Session", number: int, call: Call, *,
        inbound: Inbound, outbound: Outbound, now: float,
    ) -> None:  # fmt: skip
        self._session = session
        self.number = number
        self.call = call
        self.since = now
        self.body: bytearray | None = None
        self.received = 0
        self.wanted = True
        self.whole = False
        self.left = False
        self.inbound = inbound
        self.outbound = outbound
        self.unsent: memoryview | None = None
        self.ending = b""
        self.queued = False

    def has_left(self) -> bool:
        """Whether the client took the call back, or closed its connection."""
        return self.left

    def answer(self, message: bytes, ending: bytes) -> None:
        """Send a message and the headers after it, unless the client left."""
        if not self.left:
            self._session.answer(self, message, ending)

    def refuse(self, ending: bytes, http_status: int = 200) -> None:
        """Send no message, but headers that say why, unless the client left."""
        if not self.left:
            self._session.refuse(self, ending, http_status)
