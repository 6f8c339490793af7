"""The phases of a client's connection, and their time limits. Pure: the caller passes the time.

A connection reports its phase when it is inspected and records nothing in between, so watching it
adds no cost to a request. Received data changes the phase only if it advances a request: an empty
line between two requests does not.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

_SLOWEST = 32 * 1024  # bytes per second at which a client must read an answer, after its timeout
_GRACE_SECONDS = 10.0  # so that the deadline of the request itself comes first


class Phase(enum.Enum):
    """The phase of a connection, named by what the connection waits for."""

    HEAD = enum.auto()
    """The rest of a request's head, or the first head of a new connection."""

    ANSWER = enum.auto()
    """The body of a request, or its answer: `read_body` and the queue have their own deadlines."""

    REST = enum.auto()
    """The rest of a body whose request is answered already; it is discarded."""

    IDLE = enum.auto()
    """The next request."""

    UNSENT = enum.auto()
    """The client, which has not read all of the data that was written."""


class PhaseSnapshot(NamedTuple):
    """The state of a connection at the time of an inspection.

    Attributes:
        request: The number of requests that have begun on the connection.
        unsent: The number of bytes in the write buffer, which the client has not accepted.
    """

    phase: Phase
    request: int
    unsent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLimits:
    """The time limits of phases, in seconds.

    Attributes:
        client: The limit for data that a client should send or read at once.
        request: The limit for an answer.
        idle: The limit for the next request.
    """

    client: float
    request: float
    idle: float

    def limit(self, snapshot: PhaseSnapshot) -> float:
        """The time limit, in seconds, of a phase that was first seen in this state."""
        if snapshot.phase is Phase.IDLE:
            return self.idle
        if snapshot.phase is Phase.ANSWER:
            return self.client + self.request + _GRACE_SECONDS
        if snapshot.phase is Phase.UNSENT:
            return self.client + snapshot.unsent / _SLOWEST
        return self.client


class PhaseClock:
    """Measures how long one connection stays in a phase, from inspections of it."""

    __slots__ = ("_end", "_phase")

    def __init__(self) -> None:
        self._phase: tuple[Phase, int] | None = None
        self._end = 0.0

    def is_over(self, snapshot: PhaseSnapshot, now: float, limits: PhaseLimits) -> bool:
        """Whether the phase lasts longer than its limit."""
        phase = (snapshot.phase, snapshot.request)
        if phase != self._phase:
            self._phase = phase
            self._end = now + limits.limit(snapshot)
        return now > self._end
