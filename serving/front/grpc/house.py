"""What all connections of a door share: their limits, and what they hold together."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloche.serving.front.grpc.call import Call
from cloche.serving.front.grpc.stream import Stream

if TYPE_CHECKING:
    from cloche.serving.front.grpc.connection import Connection


@dataclass(slots=True, kw_only=True)
class House:
    """Of one door.

    Attributes:
        implements: Whether there is such a method.
        admits: Whether a call is answered, by its head; if not, its message is not kept.
        serve: Answers a call that is whole: its stream, and its body.
        message: Bytes of a message.
        unfinished: Bytes of all bodies together that are not whole.
        connections: How many there may be.
        patience: Seconds that a client has for a head, for a body, and for reading an answer.
        clock: The loop's.
        held: Bytes of bodies that are not whole now.
        open: The connections that there are.
    """

    implements: Callable[[Call], bool]
    admits: Callable[[Call], bool]
    serve: Callable[[Stream, bytes], None]
    message: int
    unfinished: int
    connections: int
    patience: float
    clock: Callable[[], float]
    held: int = 0
    open: set["Connection"] = field(default_factory=set)
    _emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, connection: "Connection") -> bool:
        """Note a new connection; False if there is no room for it."""
        self.open.add(connection)
        return len(self.open) <= self.connections

    def leave(self, connection: "Connection") -> None:
        """Note that a connection is closed."""
        self.open.discard(connection)
        if not self.open:
            self._emptied.set()

    async def close(self, patience: float) -> None:
        """Have every client leave; after `patience` seconds, make it."""
        self._emptied.clear()
        for connection in list(self.open):
            connection.leave()
        if self.open:
            try:
                await asyncio.wait_for(self._emptied.wait(), patience)
            except TimeoutError:
                for connection in list(self.open):
                    connection.close()
